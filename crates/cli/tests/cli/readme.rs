//! Checks that README.md shows what the command prints.

use std::fs;
use std::path::Path;

/// Every line of output below "When a name doesn't resolve" is in the transcript `golden/readme.txt`.
#[test]
fn its_examples_are_real_output() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(here.join("../../README.md")).unwrap();
    let transcript = fs::read_to_string(here.join("tests/golden/readme.txt")).unwrap();
    let section =
        readme.split("\n## ").find(|text| text.starts_with("When a name doesn't resolve")).unwrap();
    let shown: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with("$ "))
        .collect();
    assert!(shown.len() >= 20, "{shown:?}");
    let printed: Vec<&str> = transcript.lines().collect();
    for line in shown {
        assert!(printed.contains(&line), "not in golden/readme.txt: {line}");
    }
}
