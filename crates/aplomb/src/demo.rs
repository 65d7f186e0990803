//! `aplomb demo`: the gateway with the practice provider and simulated traffic. No key, no file, no network.

use crate::cli::DemoArgs;
use crate::load::Origin;
use crate::log;
use crate::output::{Failure, line};
use crate::serve::{runtime, serve, wire};
use aplomb_config::file::{LogConfig, LogFormat, LogLevel};
use aplomb_engines::http::HttpClient;
use aplomb_engines::tasks::Tasks;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const QUESTIONS: [&str; 6] = [
    "What does a gateway do for me?",
    "Write some code that prints a greeting.",
    "Summarise the plot of a story nobody wrote.",
    "How do I cancel my subscription?",
    "Translate good morning into four languages.",
    "Explain rate limits to a ten-year-old.",
];

/// A folder that goes when the demo goes.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(args: &DemoArgs, folder: &Folder) -> String {
    let data_dir = Value::from(folder.0.display().to_string());
    format!(
        "server: {{ listen: {}, admin: {}, data_dir: {data_dir}, example_page: true }}\n\
         providers:\n  practice: {{ kind: practice }}\n  shaky: {{ kind: practice, practice: {{ error_rate: 0.3, seed: 11 }} }}\n\
         routes:\n  chat: {{ targets: [practice/practice] }}\n  shaky: {{ targets: [shaky/practice, practice/practice] }}\n",
        args.listen, args.admin
    )
}

/// `aplomb demo`.
///
/// # Errors
/// The gateway can't start.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    let folder = Folder(std::env::temp_dir().join(format!("aplomb-demo-{}", std::process::id())));
    let parsed = aplomb_config::parse(&config(args, &folder), "demo").map_err(Failure::start)?;
    log::start(&LogConfig {
        level: LogLevel::Warn,
        format: LogFormat::Text,
    });
    let wired = wire(&Origin::Environment, &parsed)?;
    let rate = args.rate;
    let traffic = Tasks::default();
    runtime()?.block_on(serve(
        Origin::Environment,
        parsed,
        wired,
        move |data, admin| {
            banner(data, admin, rate);
            if rate > 0 {
                let tasks = traffic.clone();
                traffic.spawn(async move { simulate(data, rate, &tasks).await });
            }
        },
    ))
}

fn banner(data: SocketAddr, admin: SocketAddr, rate: u32) {
    line(&format!(
        "\nAplomb demo: everything here is SIMULATED. Answers come from the practice provider inside this process;\n\
         no model is asked, nothing leaves this machine, and the data goes when you stop it (Ctrl-C).\n\n\
         Ask it something:\n\n  \
         curl -N http://{data}/v1/chat/completions -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"chat\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'\n\n\
         Or point an SDK at it: base_url http://{data}/v1 (OpenAI) or http://{data} (Anthropic), any key, model `chat`.\n\
         Or open http://{data}/aplomb/example in a browser.\n\
         Admin listener: http://{admin} (health: /readyz)\n\
         Simulated traffic: {rate} requests a second, shown below.\n"
    ));
}

/// Sends simulated requests and says how each went, until the process ends.
async fn simulate(data: SocketAddr, rate: u32, tasks: &Tasks) {
    let client = HttpClient::new(Duration::from_secs(2));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    let mut random = fastrand::Rng::with_seed(1);
    loop {
        ticks.tick().await;
        let question = random.choice(QUESTIONS).unwrap_or("Hello!");
        let model = if random.u8(0..4) == 0 {
            "shaky"
        } else {
            "chat"
        };
        let user = format!("user-{}", random.u8(1..6));
        let stream = random.bool();
        let body = json!({ "model": model, "stream": stream, "user": user, "messages": [{ "role": "user", "content": question }] });
        let client = client.clone();
        // A slow answer must not hold up the next question; the bound on running ones keeps a stuck demo small.
        if tasks.running() < 64 {
            tasks.spawn(async move { ask(&client, data, &body).await });
        }
    }
}

async fn ask(client: &HttpClient, data: SocketAddr, body: &Value) {
    let request = http::Request::post(format!("http://{data}/v1/chat/completions"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())));
    let Ok(request) = request else { return };
    let Ok(response) = client.send(request).await else {
        return;
    };
    let status = response.status().as_u16();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let (target, attempts, ttft) = (
        header("x-aplomb-target"),
        header("x-aplomb-attempts"),
        header("x-aplomb-ttft-ms"),
    );
    let form = if body.get("stream") == Some(&Value::Bool(true)) {
        "stream"
    } else {
        "whole"
    };
    let user = body
        .get("user")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let bytes = response
        .into_body()
        .collect()
        .await
        .map(|all| all.to_bytes().len())
        .unwrap_or_default();
    line(&format!(
        "simulated  {user:<7} {form:<6} {status} {target:<18} attempts {attempts}  first token {ttft:>8} ms  {bytes} bytes"
    ));
}
