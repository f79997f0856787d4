use bytes::Bytes;

use super::rule::TextTest;
use super::*;
use crate::mail::{Body, Envelope, Finding, Header, Origin, Part, PartKind, Recipient, ReversePath, Span};

fn set(text: &str) -> Result<RuleSet, Vec<String>> {
    RuleSet::from_texts(&[("a.toml".into(), text.into())]).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// A rule of these lines beside what every rule needs.
fn rule(id: &str, lines: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\nwords = \"for a test\"\nscore = 1\nhit = [\"x\"]\nmiss = [\"y\"]\n{lines}\n")
}

fn message(headers: &[(&str, &str)], text: &str) -> Message {
    let headers: Vec<Header> =
        headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into(), raw: Span::default() }).collect();
    let part = |id: u32, kind, name: Option<&str>| Part {
        id: PartId(id),
        parent: (id > 0).then_some(PartId(0)),
        depth: u16::from(id > 0),
        kind,
        declared_type: "text/plain".into(),
        true_type: "text",
        name: name.map(Into::into),
        attachment: name.is_some(),
        span: None,
        data: Bytes::new(),
        verbatim: false,
        text: name.is_none().then(|| text.into()),
        sha256: [0; 32],
    };
    let parts = vec![part(0, PartKind::Message, None), part(1, PartKind::Leaf, Some("one.exe")), part(2, PartKind::Leaf, Some("two.exe"))];
    Message { raw: Bytes::new(), body_start: 0, headers, parts, urls: Vec::new(), findings: Vec::<Finding>::new() }
}

fn context(direction: Direction) -> Context {
    let recipient = Recipient { address: "b@b.example".parse().unwrap(), direction, route: "r".into(), dsn: Default::default() };
    Context {
        direction,
        origin: Origin { listener: "l".into(), peer: None, helo: "friend".into(), esmtp: true, tls: None, normalised: false },
        envelope: Envelope {
            sender: ReversePath::Null,
            recipients: vec![recipient],
            body: Body::SevenBit,
            smtputf8: false,
            dsn: Default::default(),
        },
    }
}

fn hits(text: &str, message: &Message, direction: Direction) -> Vec<String> {
    let hits = set(text).unwrap().hits(message, &context(direction));
    hits.into_iter().map(|hit| format!("{} {}", hit.id, hit.evidence)).collect()
}

#[test]
fn shipped_rules_are_sound() {
    if let Err(errors) = RuleSet::load(&[]) {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    let failures = RuleSet::embedded().run_cases();
    assert!(failures.is_empty(), "{}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

/// Every case of every rule, alone and deep inside a long text, through the whole set: the prefilter finds what the patterns find.
#[test]
fn prefilter_finds_what_the_patterns_find() {
    let set = RuleSet::embedded();
    let filler = "The quick brown fox jumps over the lazy dog, 42 times a day. ".repeat(20);
    let cases = set.rules.iter().flat_map(|rule| rule.hit.iter().chain(&rule.miss));
    let values: Vec<String> = cases.flat_map(|case| [case.clone(), format!("{filler}{case} {filler}")]).collect();
    for scope in &set.scopes {
        for value in &values {
            let mut found = HashSet::new();
            scope.scan(&set.rules, &mut Vec::new(), value.as_bytes(), &|_| true, &mut |rule, _| {
                found.insert(rule);
            });
            for (index, rule) in set.rules.iter().enumerate() {
                let Test::Text { fields, test: TextTest { any, .. } } = &rule.test else { continue };
                let Test::Text { test, .. } = &rule.test else { continue };
                let is_here = fields.contains(&scope.field);
                let want = is_here && any.iter().any(|pattern| pattern.is_match(value.as_bytes())) && test.rest_holds(value.as_bytes());
                assert_eq!(found.contains(&index), want, "{} over {}: {value:?}", rule.id, scope.field);
            }
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let rows: &[(&str, &str)] = &[
        ("scroe = 1\nwhere = 'body'\npattern = 'abc'", "a.toml:7:1: unknown key \"scroe\"; did you mean \"score\"?"),
        ("where = 'boddy'\npattern = 'abc'", "a.toml:7:9: cannot look into \"boddy\"; did you mean \"body\"?"),
        ("where = 'subject'\npattern = 'a('", "a.toml:8:11: bad pattern: unclosed group (at character 2 of the pattern)"),
        (
            "where = 'subject'\npattern = 'a(?=b)'",
            "a.toml:8:11: bad pattern: look-around, including look-ahead and look-behind, is not supported (at character 2 of the pattern); use all = […] and not = […] instead",
        ),
        (
            "where = 'subject'\npattern = ['abc', 'a*']",
            "a.toml:8:19: bad pattern: the pattern matches the empty text, so it would match everything",
        ),
        (
            "where = 'body'\npattern = '\\d+'",
            "a.toml:8:11: not fit to search body: no text occurs in all its matches; a pattern over long fields needs three characters in a row that are the same in every match (or one of few)",
        ),
        ("where = 'subject'", "a.toml:1:1: the rule has no pattern; add pattern = '…' (a regular expression) or literal = \"…\""),
        ("pattern = 'abc'", "a.toml:1:1: the rule has no where; say where it looks: where = \"subject\""),
        ("where = 'structure'\nfact = 'mising:Date'", "a.toml:8:8: no fact \"mising:Date\"; did you mean \"missing\"?"),
        ("where = 'structure'\nfact = 'url-count'", "a.toml:8:8: no fact \"url-count\"; compare it: \"url-count>5\" or \"url-count<5\""),
        (
            "where = 'structure'\nfact = 'list'\npattern = 'x'",
            "a.toml:9:11: pattern means nothing for a rule over structure; use fact, all, not",
        ),
        ("where = 'subject'\npattern = 'abc'\nfinding = 'spam'", "a.toml:9:11: a rule has a score or a finding, not both"),
        ("where = 'subject'\npattern = 'abc'\ndirection = 'in'", "a.toml:9:13: no direction \"in\"; one of inbound, outbound, internal"),
        ("where = 'subject'\npattern = 'abc'\nenabled = 1", "a.toml:9:11: enabled must be true or false"),
        ("where = 'hits'\nany = ['b.b']", "a.toml:1:1: refers to \"b.b\", which is no rule"),
        ("where = 'subject'\npattern = 5", "a.toml:8:11: pattern must be a text or a list of texts; write pattern = [\"…\", \"…\"]"),
    ];
    for (lines, want) in rows {
        assert_eq!(set(&rule("a.a", lines)).err(), Some(vec![(*want).to_owned()]), "{lines}");
    }
    for (text, want) in [
        ("[[rule]\nid = 1", "a.toml:1:"),
        ("rules = 1", "a.toml:1:1: unknown key \"rules\"; a rule file holds [[rule]] and [[change]] tables"),
        ("rule = 1", "a.toml:1:8: rule must be a list of tables; write [[rule]]"),
        ("[[change]]\nid = 'a.a'\n", "a.toml:2:6: no rule \"a.a\" to change"),
    ] {
        let errors = set(text).unwrap_err();
        assert!(errors[0].starts_with(want), "{errors:?}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told() {
    let twice = rule("a.a", "where = 'subject'\npattern = 'abc'").repeat(2);
    let text = format!("{twice}[[rule]]\nid = \"Bad Id\"\nwords = \"x\"\nscore = \"high\"\nwhere = \"subject\"\npattern = \"[\"\n");
    let errors = set(&text).unwrap_err().join("\n");
    for want in [
        "a.toml:9:1: duplicate id \"a.a\"",
        "\"Bad Id\" is not a rule id",
        "words say too little",
        "score must be a number",
        "unclosed character class",
        "the rule has no hit case; add hit = [\"a value of that field\"]",
        "the rule has no miss case",
    ] {
        assert!(errors.contains(want), "{want} not in\n{errors}");
    }
    let unread = RuleSet::load(&[PathBuf::from("/nonexistent/rules")]).unwrap_err();
    assert!(unread[0].to_string().contains("/nonexistent/rules:0:0: cannot read"), "{unread:?}");
}

#[test]
fn cases_that_lie_are_named() {
    let failures = set(&rule("a.a", "where = 'subject'\npattern = '[xy]'")).unwrap().run_cases();
    assert_eq!(failures.iter().map(|failure| failure.to_string()).collect::<Vec<_>>(), ["a.toml:1: rule a.a: a miss case is hit: \"y\""]);
    let text = rule("a.a", "where = 'structure'\nfact = 'list'");
    let failures = set(&text).unwrap().run_cases();
    assert!(failures.len() == 2 && failures[0].what.starts_with("no fact \"x\""), "{failures:?}");
}

#[test]
fn scores_count_once_and_content_is_named_for_each_part() {
    let text = rule("a.score", "where = ['subject', 'body']\npattern = 'abc'")
        + &rule("a.content", "where = 'name'\npattern = '\\.exe$'").replace("score = 1", "finding = 'content'");
    let message = message(&[("Subject", "abc abc")], "abc abc");
    assert_eq!(hits(&text, &message, Direction::Inbound), ["a.score abc", "a.content one.exe", "a.content two.exe"]);
}

#[test]
fn conditions_directions_changes_and_rules_over_rules() {
    let message = message(&[("Subject", "cheap watches"), ("X-One", "1")], "some   text\nhere");
    let rows: &[(&str, &str, bool)] = &[
        ("where = 'subject'\nliteral = 'CHEAP watch'", "", true),
        ("where = 'subject'\nall = ['cheap', 'watch']", "", true),
        ("where = 'subject'\npattern = 'cheap'\nall = 'clocks'", "", false),
        ("where = 'subject'\npattern = 'cheap'\nnot = 'watches$'", "", false),
        ("where = 'subject'\npattern = 'cheap'\ndirection = 'outbound'", "", false),
        ("where = 'subject'\npattern = 'cheap'\ndirection = ['internal', 'inbound']", "", true),
        ("where = 'subject'\npattern = 'cheap'\nenabled = false", "", false),
        ("where = 'subject'\npattern = 'cheap'\nenabled = false", "[[change]]\nid = 'a.a'\nenabled = true", true),
        ("where = 'subject'\npattern = 'cheap'", "[[change]]\nid = 'a.a'\ndirection = 'outbound'", false),
        ("where = 'header:x-one'\npattern = '^1$'", "", true),
        ("where = 'headers'\npattern = '^X-One: 1$'", "", true),
        ("where = 'body'\npattern = 'some text here'", "", true),
        ("where = 'helo'\npattern = 'friend'", "", true),
        ("where = 'declared-type'\npattern = 'text/plain'", "", true),
        ("where = 'structure'\nfact = ['missing:Date', 'list']\nall = 'attachment-count>1'\nnot = 'reply'", "", true),
        ("where = 'structure'\nfact = 'null-sender'\nnot = 'missing:Date'", "", false),
    ];
    for (lines, more, want) in rows {
        let got = hits(&format!("{}{more}", rule("a.a", lines)), &message, Direction::Inbound);
        assert_eq!(!got.is_empty(), *want, "{lines}\n{more}: {got:?}");
    }
    let helper = rule("a.part", "where = 'subject'\npattern = 'cheap'").replace("score = 1\n", "");
    let over = rule("a.over", "where = 'hits'\nany = ['a.part', 'a.b']\nat_least = 2") + &rule("a.b", "where = 'body'\npattern = 'text'");
    assert_eq!(hits(&(helper.clone() + &over), &message, Direction::Inbound), ["a.b text", "a.over a.part a.b"]);
    assert!(set(&helper).unwrap_err()[0].contains("no score and no finding, and no other rule uses it"));
}

#[test]
fn digest_follows_the_text() {
    let digest = |text: &str| set(text).unwrap().source_digest();
    let text = rule("a.a", "where = 'subject'\npattern = 'abc'");
    assert_eq!(digest(&text), digest(&text));
    assert_ne!(digest(&text), digest(&format!("{text}#")));
}

/// The page on writing rules names every field, fact and key.
#[test]
fn readme_is_complete() {
    let page = include_str!("../../rules/README.md");
    let facts = facts::words();
    let words = Field::WORDS
        .iter()
        .map(|(word, _)| *word)
        .chain(facts.iter().map(|(word, _)| *word))
        .chain(read::RULE_KEYS)
        .chain(read::CHANGE_KEYS);
    for word in words {
        assert!(page.contains(&format!("`{word}")), "rules/README.md does not explain `{word}`");
    }
    for (word, meaning) in facts {
        assert!(page.contains(meaning.trim()), "rules/README.md says something else of {word} than: {meaning}");
    }
}
