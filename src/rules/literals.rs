//! Which literals must occur in every match of a pattern, and which of the choices is the rarest in mail.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The most literals a pattern may be looked for by.
const MOST: usize = 160;
/// The most literals that neighbours may be joined to.
const JOINED: usize = 64;
/// Literals are cut to this length: more makes the automaton bigger, not the candidates fewer.
const LONGEST: usize = 20;
/// The shortest literal a pattern over long fields may be looked for by.
pub const SHORTEST: usize = 3;

/// Lower-case literals of which every match contains at least one (compare with ASCII case ignored); `None` if there is no such set.
pub fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let Read { exact, best } = read(hir);
    let mut set = rarest([best, exact].into_iter().flatten())?;
    for literal in &mut set {
        literal.truncate(LONGEST);
    }
    set.sort();
    set.dedup();
    Some(set)
}

/// How rare the most common literal of a set is, in bits: higher is rarer.
pub fn rarity(set: &[Vec<u8>]) -> f32 {
    let commonest = set.iter().map(|literal| bits(literal)).fold(f32::INFINITY, f32::min);
    commonest - 1.5 * (set.len().max(1) as f32).log2()
}

/// What is known of a piece of pattern.
struct Read {
    /// All strings it matches, if they are few.
    exact: Option<Vec<Vec<u8>>>,
    /// A set of which each match contains one.
    best: Option<Vec<Vec<u8>>>,
}

/// Recursion is bounded by the nesting limit of the regex parser (`pattern::NESTING`).
fn read(hir: &Hir) -> Read {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Read { exact: Some(vec![Vec::new()]), best: None },
        HirKind::Literal(literal) => Read { exact: Some(vec![literal.0.to_ascii_lowercase()]), best: None },
        HirKind::Class(class) => Read { exact: members(class), best: None },
        HirKind::Capture(capture) => read(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = read(&repetition.sub);
            let best = if repetition.min > 0 { rarest([sub.best, sub.exact.clone()].into_iter().flatten()) } else { None };
            let exact = match (repetition.min, repetition.max) {
                (1, Some(1)) => sub.exact,
                (0, Some(1)) => sub.exact.map(|mut set| {
                    set.push(Vec::new());
                    set
                }),
                (min, max) if Some(min) == max && min <= 8 => {
                    sub.exact.and_then(|set| (0..min).try_fold(vec![Vec::new()], |all, _| product(&all, &set)))
                }
                _ => None,
            };
            Read { exact, best }
        }
        HirKind::Concat(subs) => concat(subs),
        HirKind::Alternation(subs) => {
            let (mut exact, mut best) = (Some(Vec::new()), Some(Vec::new()));
            for sub in subs {
                let sub = read(sub);
                exact = exact.zip(sub.exact.clone()).map(|(all, set)| union(all, set)).filter(|all| all.len() <= MOST);
                let must = rarest([sub.best, sub.exact].into_iter().flatten());
                best = best.zip(must).map(|(all, set)| union(all, set)).filter(|all| all.len() <= MOST);
            }
            Read { exact, best }
        }
    }
}

/// Neighbours that match few strings are joined; where that ends, what was joined is a candidate.
fn concat(subs: &[Hir]) -> Read {
    let mut candidates = Vec::new();
    let mut run = vec![Vec::new()];
    let mut whole = true;
    for sub in subs {
        let sub = read(sub);
        candidates.extend(sub.best);
        let joined = sub.exact.as_ref().and_then(|set| product(&run, set));
        run = match joined {
            Some(joined) => joined,
            None => {
                whole = false;
                candidates.push(run);
                sub.exact.unwrap_or_else(|| vec![Vec::new()])
            }
        };
    }
    let exact = whole.then(|| run.clone());
    candidates.push(run);
    Read { exact, best: rarest(candidates.into_iter()) }
}

fn product(left: &[Vec<u8>], right: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if left.len() * right.len() > JOINED {
        return None;
    }
    let joined: Vec<Vec<u8>> = left.iter().flat_map(|a| right.iter().map(move |b| [a.as_slice(), b.as_slice()].concat())).collect();
    joined.iter().all(|literal| literal.len() <= 4 * LONGEST).then_some(joined)
}

fn union(mut all: Vec<Vec<u8>>, set: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    all.extend(set);
    all.sort();
    all.dedup();
    all
}

/// The strings of a small class; upper and lower case count as one.
fn members(class: &Class) -> Option<Vec<Vec<u8>>> {
    let mut set: Vec<Vec<u8>> = Vec::new();
    match class {
        Class::Bytes(class) => {
            let count: usize = class.ranges().iter().map(|r| usize::from(r.end() - r.start()) + 1).sum();
            if count > 12 {
                return None;
            }
            set.extend(class.ranges().iter().flat_map(|r| r.start()..=r.end()).map(|b| vec![b.to_ascii_lowercase()]));
        }
        Class::Unicode(class) => {
            let count: usize = class.ranges().iter().map(|r| r.len()).sum();
            if count > 12 {
                return None;
            }
            let chars = class.ranges().iter().flat_map(|r| r.start()..=r.end());
            set.extend(chars.map(|c| c.to_ascii_lowercase().to_string().into_bytes()));
        }
    }
    set.sort();
    set.dedup();
    (set.len() <= 6).then_some(set)
}

/// The best of several sets, those with an empty string left out.
fn rarest(sets: impl Iterator<Item = Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    sets.filter(|set| !set.is_empty() && set.iter().all(|literal| !literal.is_empty())).max_by(|a, b| rarity(a).total_cmp(&rarity(b)))
}

/// How surprising a lower-case literal is in mail text and HTML: the sum over its bytes, capped for what stands everywhere.
fn bits(literal: &[u8]) -> f32 {
    const COMMON: [&str; 26] = [
        "https://www.",
        "http://www.",
        ".com",
        "href=\"",
        "src=\"",
        "style=\"",
        "font-family",
        "font-size",
        "color:",
        "width=\"",
        "height=\"",
        "text-align",
        "<table",
        "<span",
        "<div",
        "<br>",
        "<img",
        "content-type:",
        "click here",
        "please ",
        "your email",
        "information",
        " this ",
        " that ",
        " with ",
        " from ",
    ];
    let sum = literal.iter().map(|byte| byte_bits(*byte)).sum();
    let everywhere = std::str::from_utf8(literal).is_ok_and(|literal| COMMON.iter().any(|common| common.contains(literal)));
    if everywhere { f32::min(sum, 8.0) } else { sum }
}

/// Minus the binary logarithm of a byte's share in mail, roughly.
fn byte_bits(byte: u8) -> f32 {
    match byte {
        b' ' | b'e' => 3.2,
        b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 4.2,
        b'h' | b'l' | b'd' | b'c' | b'm' | b'p' | b'u' => 5.2,
        b'f' | b'g' | b'w' | b'y' | b'b' | b'.' | b'=' | b'-' | b'/' | b'"' | b'<' | b'>' | b':' => 6.0,
        b'0'..=b'9' | b'v' | b'k' | b',' => 6.6,
        b'x' | b'j' | b'q' | b'z' => 9.0,
        128.. => 8.0,
        _ => 8.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(pattern: &str) -> Option<Vec<String>> {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).case_insensitive(true).build().parse(pattern).unwrap();
        required(&hir).map(|set| set.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect())
    }

    #[test]
    fn every_match_contains_one() {
        let rows: &[(&str, Option<&[&str]>)] = &[
            ("viagra", Some(&["viagra"])),
            (r"\bfoo\s+barbarella\b", Some(&["barbarella"])),
            (r"(?:red|blue) pill", Some(&["blue pill", "red pill"])),
            (r"colou?r xyzzy", Some(&["color xyzzy", "colour xyzzy"])),
            (r"v[i1]agra", Some(&["v1agra", "viagra"])),
            (r"a+b", Some(&["b"])),
            (r"(?:abc){2}", Some(&["abcabc"])),
            (r"\d{4}", None),
            (r"\d{4}|word", None),
            (r"(?:one|two)\d+(?:three|quizzical)", Some(&["quizzical", "three"])),
            (r"(?:&#1[01]\d;){2}x", Some(&["&#10", "&#11"])),
            (r"[a-z]+@[a-z]+", Some(&["@"])),
            (r"(?:foo)?bar", Some(&["bar", "foobar"])),
            (r"(?:foo)*bar", Some(&["bar"])),
        ];
        for (pattern, want) in rows {
            let got = literals(pattern);
            let got: Option<Vec<&str>> = got.as_ref().map(|set| set.iter().map(String::as_str).collect());
            assert_eq!(got.as_deref(), *want, "{pattern}");
        }
    }

    #[test]
    fn rare_beats_common() {
        assert!(rarity(&[b"xanax".to_vec()]) > rarity(&[b"http".to_vec()]));
        assert!(rarity(&[b"abc".to_vec()]) > rarity(&[b"abc".to_vec(), b"abd".to_vec()]));
    }
}
