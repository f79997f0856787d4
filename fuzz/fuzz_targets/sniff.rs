#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| mailweir_fuzz::sniff(input));
