//! Passwords that stand in a message, for what is encrypted in it: words beside a word for password, in many languages; names of files;
//! passwords that everybody uses; and all other words that look like one.

use std::collections::HashSet;

/// Candidates kept of one message: each costs a key derivation for each encrypted member.
const MOST: usize = 200;
/// Those of them that are not labelled as a password leave this many places to the ones that are.
const LABELLED: usize = 120;
/// Text looked at, in characters, of all texts together.
const MOST_TEXT: usize = 400_000;
/// The longest password, in characters.
const LONGEST: usize = 64;
/// Places of a word for password that are looked at.
const MOST_LABELS: usize = 60;

/// Words for password, lower case. Those in scripts without blanks between words stand anywhere in a word.
const LABELS: [&str; 50] = [
    "password",
    "passwd",
    "passwort",
    "passcode",
    "passphrase",
    "passkey",
    "pass",
    "pwd",
    "pswd",
    "psw",
    "pw",
    "pin",
    "code",
    "key",
    "kennwort",
    "losung",
    "zugangscode",
    "zugangsdaten",
    "schlüssel",
    "schluessel",
    "kode",
    "mot de passe",
    "mdp",
    "contraseña",
    "contrasena",
    "clave",
    "senha",
    "palavra-passe",
    "parola",
    "parolă",
    "wachtwoord",
    "lösenord",
    "losenord",
    "adgangskode",
    "kodeord",
    "passord",
    "salasana",
    "hasło",
    "haslo",
    "heslo",
    "jelszó",
    "lozinka",
    "şifre",
    "sifre",
    "пароль",
    "паролем",
    "пароля",
    "mật khẩu",
    "kata sandi",
    "geslo",
];
const WIDE_LABELS: [&str; 14] = [
    "密码",
    "密碼",
    "口令",
    "解压码",
    "パスワード",
    "暗証番号",
    "暗号",
    "암호",
    "비밀번호",
    "รหัสผ่าน",
    "סיסמה",
    "كلمة المرور",
    "كلمة السر",
    "κωδικός",
];

/// Passwords that files are often packed with when the message does not say one.
const COMMON: [&str; 8] = ["infected", "1234", "123456", "password", "virus", "malware", "12345", "0000"];

/// Words that stand between a word for password and the password.
const FILLERS: [&str; 44] = [
    "is",
    "ist",
    "est",
    "es",
    "é",
    "è",
    "er",
    "är",
    "to",
    "jest",
    "the",
    "for",
    "für",
    "fur",
    "pour",
    "para",
    "per",
    "voor",
    "the",
    "this",
    "file",
    "archive",
    "zip",
    "attachment",
    "document",
    "to",
    "open",
    "of",
    "der",
    "die",
    "das",
    "datei",
    "lautet",
    "le",
    "la",
    "el",
    "del",
    "as",
    "follows",
    "below",
    "de",
    "below:",
    "был",
    "это",
];

/// Candidates, the likeliest first, each once: from texts (subject and shown texts) and from names of files.
pub(crate) fn candidates<'a>(texts: impl Iterator<Item = &'a str>, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut left = MOST_TEXT;
    let mut found = Found::default();
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        let text: String = text.chars().take(left).collect();
        left = left.saturating_sub(text.chars().count());
        kept.push(text);
    }
    kept.iter().for_each(|text| found.labelled(text));
    found.room = MOST;
    COMMON.iter().for_each(|word| found.add(word));
    names.take(30).for_each(|name| found.stem(name));
    kept.iter().for_each(|text| found.spaced(text));
    kept.iter().for_each(|text| found.lookalikes(text));
    found.all
}

struct Found {
    all: Vec<String>,
    seen: HashSet<String>,
    room: usize,
}

impl Default for Found {
    fn default() -> Self {
        Self { all: Vec::new(), seen: HashSet::new(), room: LABELLED }
    }
}

impl Found {
    fn add(&mut self, word: &str) {
        let fits = !word.is_empty() && word.chars().take(LONGEST + 1).count() <= LONGEST;
        if fits && self.all.len() < self.room && self.seen.insert(word.to_owned()) {
            self.all.push(word.to_owned());
        }
    }

    /// A word as it stands, and without what may be around it.
    fn add_trimmed(&mut self, word: &str) {
        let quotes =
            |c: char| matches!(c, '"' | '\'' | '`' | '´' | '‘' | '’' | '“' | '”' | '„' | '«' | '»' | '‹' | '›' | '「' | '」' | '『' | '』');
        let brackets = |c: char| matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '（' | '）' | '【' | '】' | '《' | '》');
        let marks =
            |c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '=' | '*' | '_' | '|' | '-' | '–' | '—' | '。' | '、' | '，' | '：');
        let soft = |c: char| quotes(c) || matches!(c, ',' | ';' | ':' | '=' | '。' | '、' | '，' | '：' | '*');
        let all = |c: char| quotes(c) || brackets(c) || marks(c) || c.is_whitespace();
        let word = word.trim();
        self.add(word.trim_matches(all));
        self.add(word.trim_end_matches(['.', ',', ';', ':']).trim_matches(soft));
        self.add(word.trim_matches(soft));
        self.add(word.trim_matches(|c| soft(c) || brackets(c)));
        self.add(word);
    }

    /// What stands beside words for password.
    fn labelled(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut left = MOST_LABELS;
        for (n, line) in lines.iter().enumerate() {
            let lower = line.to_lowercase();
            // Where lower case has other lengths, places in it are not places in the line.
            let line = if lower.len() == line.len() { line } else { lower.as_str() };
            for (start, end) in labels(&lower) {
                if left == 0 {
                    return;
                }
                left -= 1;
                let (Some(before), Some(after)) = (line.get(..start), line.get(end..)) else { continue };
                self.after(after);
                if after.split_whitespace().next().is_none_or(|rest| rest.chars().all(|c| !c.is_alphanumeric())) || is_filler_only(after) {
                    lines.iter().skip(n + 1).take(2).for_each(|next| self.line(next));
                }
                self.before(before);
            }
        }
    }

    /// What follows a word for password on its line.
    fn after(&mut self, after: &str) {
        // In quotes there may be blanks.
        for (open, close) in [
            ('"', '"'),
            ('\'', '\''),
            ('“', '”'),
            ('„', '“'),
            ('«', '»'),
            ('「', '」'),
            ('『', '』'),
            ('[', ']'),
            ('(', ')'),
            ('<', '>'),
            ('【', '】'),
            ('`', '`'),
            ('{', '}'),
        ] {
            let inside = after.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map(|(inside, _)| inside);
            inside.into_iter().for_each(|inside| self.add(inside));
        }
        // Behind a colon or the like, the words and the rest of the line.
        let behind =
            after.find([':', '=', '：', '＝']).and_then(|at| after.get(at..)).map(|rest| rest.trim_start_matches([':', '=', '：', '＝']));
        if let Some(behind) = behind {
            behind.split_whitespace().take(1).for_each(|word| self.add_trimmed(word));
            self.joined(behind);
        }
        let words: Vec<&str> = after.split_whitespace().collect();
        let is_filler = |word: &&&str| FILLERS.contains(&word.to_lowercase().trim_matches(|c: char| !c.is_alphanumeric()));
        let first = words.iter().skip_while(is_filler).take(3);
        first.for_each(|word| self.add_trimmed(word));
        words.iter().take(8).filter(|word| looks_like_one(word)).for_each(|word| self.add_trimmed(word));
        for piece in words.iter().take(3).flat_map(|word| word.split([':', '=', '：', '/', '|'])) {
            self.add_trimmed(piece);
        }
        // Scripts without blanks: the run of plain letters and digits in it.
        if !after.is_ascii() {
            let runs = after.split(|c: char| !c.is_ascii_graphic()).filter(|run| !run.is_empty());
            runs.take(4).for_each(|run| self.add_trimmed(run));
        }
        if let Some(behind) = behind {
            self.add(behind.trim());
            self.add(behind.trim().trim_matches(['"', '\'', '“', '”', '.']));
        }
    }

    /// Letters with blanks between them: `i n f e c t e d`.
    fn joined(&mut self, text: &str) {
        let letters: Vec<&str> = text.split_whitespace().take_while(|word| word.chars().count() == 1).collect();
        if letters.len() >= 3 {
            self.add(&letters.concat());
            self.add_trimmed(&letters.concat());
        }
    }

    /// A line of its own: it, and its words.
    fn line(&mut self, line: &str) {
        self.add_trimmed(line);
        self.joined(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        words.iter().take(2).for_each(|word| self.add_trimmed(word));
        words.iter().take(8).filter(|word| looks_like_one(word)).for_each(|word| self.add_trimmed(word));
    }

    /// `X is the password`: the words before it.
    fn before(&mut self, before: &str) {
        let words: Vec<&str> = before.split_whitespace().collect();
        let last = words.iter().rev().take(6);
        let is_filler = |word: &&str| FILLERS.contains(&word.to_lowercase().trim_matches(|c: char| !c.is_alphanumeric()));
        let useful: Vec<&str> = last.copied().filter(|word| !is_filler(word)).collect();
        let first = useful.iter().take(1);
        let others = useful.iter().skip(1).filter(|word| looks_like_one(word));
        first.chain(others).for_each(|word| self.add_trimmed(word));
    }

    /// A file's name without its endings, and its pieces.
    fn stem(&mut self, name: &str) {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        let longer = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        [stem, longer, name].into_iter().for_each(|word| self.add(word));
        let lower = stem.to_lowercase();
        for (_, end) in labels(&lower) {
            let rest = stem.get(end..).unwrap_or_default();
            self.add(rest.trim_matches(|c: char| !c.is_alphanumeric()));
            self.add(rest.trim_start_matches(['-', '_', ' ', '=', '.']));
        }
        stem.split(['-', '_', ' ', '(', ')', '[', ']', '+', '=']).filter(|piece| piece.len() >= 4).for_each(|piece| self.add(piece));
    }

    /// Letters with blanks between them that stand anywhere.
    fn spaced(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        for run in words.split(|word| word.chars().count() != 1).filter(|run| (4..=32).contains(&run.len())).take(5) {
            self.add_trimmed(&run.concat());
        }
    }

    /// Words that look like a password: first what mixes letters and digits, then what stands alone on a line or in quotes, then long numbers.
    fn lookalikes(&mut self, text: &str) {
        let words = || text.split_whitespace().filter(|word| (4..=LONGEST).contains(&word.len()));
        words().filter(|word| looks_like_one(word) && !is_address(word)).for_each(|word| self.add_trimmed(word));
        let alone = text.lines().map(str::trim).filter(|line| (4..=32).contains(&line.len()) && !line.contains(char::is_whitespace));
        alone.take(20).for_each(|line| self.add_trimmed(line));
        let quoted = words().filter(|word| word.starts_with(['"', '\'', '“', '„', '«', '[', '(', '<', '`', '*']) && !is_address(word));
        quoted.take(20).for_each(|word| self.add_trimmed(word));
        words().filter(|word| word.chars().filter(char::is_ascii_digit).count() >= 4).take(20).for_each(|word| self.add_trimmed(word));
    }
}

/// Letters and digits together, or letters and signs inside a word, or cases mixed inside it.
fn looks_like_one(word: &str) -> bool {
    let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
    let has = |is: fn(char) -> bool| inner.chars().any(is);
    let (letter, digit) = (has(char::is_alphabetic), has(|c| c.is_ascii_digit()));
    let sign = has(|c| matches!(c, '!' | '@' | '#' | '$' | '%' | '^' | '&' | '*' | '+' | '_' | '~'));
    let mixed = inner.chars().skip(1).any(char::is_uppercase) && has(char::is_lowercase);
    (3..=40).contains(&inner.len()) && (mixed || [letter, digit, sign].iter().filter(|is| **is).count() >= 2)
}

/// Addresses and links are no passwords.
fn is_address(word: &str) -> bool {
    word.contains("://")
        || word.starts_with("www.")
        || (word.contains('@') && word.rsplit('@').next().is_some_and(|domain| domain.contains('.')))
}

fn is_filler_only(text: &str) -> bool {
    let mut words = text.split_whitespace().map(|word| word.to_lowercase());
    words.all(|word| FILLERS.contains(&word.trim_matches(|c: char| !c.is_alphanumeric())) || word.chars().all(|c| !c.is_alphanumeric()))
}

/// Where words for password stand in lower case text: start and end. A word that goes on with letters is another word, but for an ending
/// of up to two letters.
fn labels(lower: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for label in LABELS {
        for (start, _) in lower.match_indices(label) {
            let before = lower.get(..start).and_then(|before| before.chars().next_back());
            let after = lower.get(start + label.len()..).unwrap_or_default();
            let ending: usize = after.chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum();
            let short = label.len() <= 4;
            let begins = before.is_none_or(|c| !c.is_alphanumeric()) || !short && label.is_ascii();
            if begins && ending <= if short { 0 } else { 4 } {
                found.push((start, start + label.len() + ending));
            }
        }
    }
    for label in WIDE_LABELS {
        found.extend(lower.match_indices(label).map(|(start, _)| (start, start + label.len())));
    }
    found.sort_unstable();
    // Of words that begin in the same place the longest counts.
    found.dedup_by(|later, earlier| {
        let same = later.0 < earlier.1;
        earlier.1 = if same { earlier.1.max(later.1) } else { earlier.1 };
        same
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        candidates(std::iter::once(text), std::iter::empty())
    }

    #[test]
    fn what_stands_beside_a_word_for_password() {
        let rows = [
            ("Password: secret", "secret"),
            ("The password is secret.", "secret"),
            ("the password for the file is: Hello-World", "Hello-World"),
            ("pw=abc", "abc"),
            ("PW abc", "abc"),
            ("secret is the password", "secret"),
            ("Use \"two words\" as password", "words"),
            ("password \"a b c 9\"", "a b c 9"),
            ("Password:\n\n  letmein\n\nRegards", "letmein"),
            ("password is\nletmein", "letmein"),
            ("Das Passwort lautet Geheim#1", "Geheim#1"),
            ("Kennwort: mueller7!", "mueller7!"),
            ("Le mot de passe est hiver", "hiver"),
            ("La contraseña es invierno", "invierno"),
            ("Clave: uno", "uno"),
            ("senha: dois", "dois"),
            ("La parola d'ordine: inverno", "inverno"),
            ("wachtwoord: winter", "winter"),
            ("Hasło: zima", "zima"),
            ("Пароль: зима", "зима"),
            ("пароль зима1", "зима1"),
            ("密码：8842", "8842"),
            ("解压密码是abc123。", "abc123"),
            ("パスワードは「fuyu26」です", "fuyu26"),
            ("암호: kim", "kim"),
            ("password: i n f e c t e d", "infected"),
            ("archive [pass: x]", "x"),
            ("Passwords: one", "one"),
            ("code: 887341", "887341"),
            ("pass - tiger", "tiger"),
            ("Password: winter26.", "winter26."),
            ("Password: winter26.", "winter26"),
            ("password: <b>", "b"),
            ("password: correct horse battery", "correct horse battery"),
        ];
        for (text, want) in rows {
            let found = of(text);
            assert!(found.iter().any(|word| word == want), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn what_stands_elsewhere() {
        assert!(of("nothing here").contains(&"infected".to_owned()));
        assert!(of("Use Zx81-k for it.").contains(&"Zx81-k".to_owned()));
        assert!(of("Hello,\n\nXk4-99q\n\nBye").contains(&"Xk4-99q".to_owned()));
        let named = candidates(std::iter::empty(), ["invoice_pw-tiger77.zip", "winter26.zip", "a/b/c.tar.gz"].into_iter());
        for want in ["tiger77", "winter26", "c", "c.tar"] {
            assert!(named.iter().any(|word| word == want), "{want}: {named:?}");
        }
    }

    #[test]
    fn bounded_and_each_once() {
        let long: String = (0..10_000).map(|n| format!("password: a{n}b x{n}y\n")).collect();
        let found = of(&long);
        assert!(found.len() <= MOST && found.iter().collect::<HashSet<_>>().len() == found.len());
        assert!(found.contains(&"infected".to_owned()) && found[0] == "a0b");
        assert!(of(&"password ".repeat(10_000)).len() <= MOST);
        for text in ["", "password", "password:", "İPASSWORD: x", "\u{0}password=\u{301}"] {
            of(text);
        }
    }
}
