use super::*;

#[test]
fn shipped_rules_are_sound() {
    if let Err(errors) = RuleSet::load(&[]) {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    let failures = RuleSet::embedded().run_cases();
    assert!(failures.is_empty(), "{}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}
