#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| aplomb_fuzz::protect::proof(data));
