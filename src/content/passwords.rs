//! Passwords that stand in the text of a message, for what is encrypted in it.

/// Candidates kept of one message: each costs a key derivation for each encrypted container.
const MOST: usize = 100;

/// Words that may be passwords, the likeliest first, each once: those that follow a word for password.
pub(crate) fn candidates<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let is_label = ["password", "passwort", "passcode"].iter().any(|label| word.to_ascii_lowercase().starts_with(label));
            if is_label && found.len() < MOST {
                found.extend(words.clone().take(3).map(|word| word.trim_matches(['"', '.', ',']).to_owned()));
            }
        }
    }
    found
}
