//! Shows what is found in each line of the standard input, and why:
//! `cargo run -p aplomb-privacy --example scan < some.txt`. A `\n` in a line is a line break.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;

use aplomb_privacy::detect::{Detector, DetectorSettings, Hint};

fn main() -> Result<(), Box<dyn Error>> {
    let detector = Detector::new(&DetectorSettings::default())?;
    for line in std::io::stdin().lines() {
        let text = line?.replace("\\n", "\n");
        println!("{text}");
        for entity in detector.detect(&text, Hint::default()) {
            let value = text.get(entity.range.clone()).unwrap_or_default();
            println!(
                "    {} `{value}` {:.2} {}",
                entity.kind, entity.score, entity.reason
            );
        }
    }
    Ok(())
}
