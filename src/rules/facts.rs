//! The closed list of facts that `where = "structure"` rules are made of, and what a message says to each.

use super::addresses;
use super::error::suggestion;
use super::measures::Measures;
use crate::mail::{Context, Message, PartId, ReversePath};

/// Something that holds of a message or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// `missing:Date`, `empty:Subject`, `repeated:From`, `finding:mime.`: a condition and what it is about.
    About(About, String),
    /// `html-only`.
    Plain(Plain),
    /// `url-count>5`, `body-words<20`: a number compared.
    Number { number: Number, more: bool, than: u64 },
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $says:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum $name { $($(#[doc = $says])* $variant,)* }
        impl $name {
            /// Word, variant and meaning of each.
            pub(super) const ALL: &'static [(&'static str, Self, &'static str)] = &[$(($word, Self::$variant, concat!($($says),*)),)*];
            fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().find(|(known, ..)| *known == word).map(|(_, value, _)| *value)
            }
        }
    };
}

words! {
    /// Conditions with an argument after a colon.
    About {
        /// There is no header field of this name.
        Missing = "missing",
        /// The field is there and blank.
        Empty = "empty",
        /// The field occurs more than once.
        Repeated = "repeated",
        /// Decomposition noticed something whose code starts with this.
        Finding = "finding",
    }
}

words! {
    /// Conditions without an argument.
    Plain {
        /// MAIL FROM is `<>`.
        NullSender = "null-sender",
        /// The domain of MAIL FROM belongs to another organisation than that of From.
        SenderDiffers = "sender-differs",
        /// The domain of Reply-To belongs to another organisation than that of From.
        ReplyToDiffers = "reply-to-differs",
        /// The display name of From shows an address of another organisation than the real one.
        NameShowsOtherAddress = "name-shows-other-address",
        /// The same address in From and To.
        FromIsTo = "from-is-to",
        /// The subject holds the recipient's address or the part before the `@`.
        SubjectNamesRecipient = "subject-names-recipient",
        /// The name in To is the part before the `@` of its address.
        ToNameIsMailbox = "to-name-is-mailbox",
        /// X-Mailer and X-MimeOLE, which Outlook Express writes both, name different versions.
        MailerContradicts = "mailer-contradicts",
        /// The subject has ten letters or more, all of them capitals.
        SubjectCaps = "subject-caps",
        /// All text shown is HTML.
        HtmlOnly = "html-only",
        /// At least one image, and fewer than twenty words of text.
        ImageOnly = "image-only",
        /// No text at all, and no attachment.
        NoBody = "no-body",
        /// The plain and the HTML text have hardly a word in common.
        AlternativeDiffers = "alternative-differs",
        /// A link whose shown text is a web address of another organisation than its target.
        LinkDiffers = "link-differs",
        /// Bytes in the header that are neither ASCII nor UTF-8.
        BrokenHeaderBytes = "broken-header-bytes",
        /// Sent through a mailing list or newsletter: List-Id, List-Unsubscribe, List-Post or Mailing-List.
        List = "list",
        /// An answer: In-Reply-To or References.
        Reply = "reply",
        /// An HTML or SVG file attached, which a browser would run.
        HtmlAttachment = "html-attachment",
    }
}

words! {
    /// Numbers, compared with `>` or `<`.
    Number {
        /// Links.
        UrlCount = "url-count",
        /// Different organisations that links lead to.
        UrlHosts = "url-hosts",
        /// Parts of all kinds.
        PartCount = "part-count",
        /// Attachments.
        AttachmentCount = "attachment-count",
        /// Images.
        ImageCount = "image-count",
        /// Recipients of the envelope.
        RecipientCount = "recipient-count",
        /// Addresses in To and Cc.
        NamedRecipients = "named-recipients",
        /// Received fields.
        ReceivedCount = "received-count",
        /// Servers it came through, ours included: Received fields, and one more where it came in over a socket.
        Hops = "hops",
        /// Words of text shown (the longer of plain and HTML).
        BodyWords = "body-words",
        /// Characters in the text that show nothing: zero width, soft hyphens, tags.
        HiddenChars = "hidden-chars",
        /// Words in the text that mix Latin with Cyrillic or Greek letters.
        MixedWords = "mixed-words",
        /// Hours that Date lies after the newest Received.
        HoursAhead = "hours-ahead",
        /// Hours that Date lies before the newest Received.
        HoursBehind = "hours-behind",
        /// Size of the message in KiB.
        SizeKib = "size-kib",
    }
}

impl Fact {
    /// Reads a fact as a rule writes it; the error says what would have been right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((word, argument)) = text.split_once(':') {
            if let (Some(about), false) = (About::parse(word), argument.is_empty()) {
                return Ok(Self::About(about, argument.to_ascii_lowercase()));
            }
        } else if let Some(at) = text.find(['<', '>']) {
            let (word, rest) = text.split_at(at);
            if let (Some(number), Some(Ok(than))) = (Number::parse(word), rest.get(1..).map(str::parse)) {
                return Ok(Self::Number { number, more: rest.starts_with('>'), than });
            }
        } else if let Some(plain) = Plain::parse(text) {
            return Ok(Self::Plain(plain));
        }
        let word = text.split([':', '<', '>']).next().unwrap_or_default();
        let known = About::ALL.iter().map(|row| row.0).chain(Plain::ALL.iter().map(|row| row.0)).chain(Number::ALL.iter().map(|row| row.0));
        Err(match suggestion(word, known) {
            Some(close) if close != word => format!("did you mean {close:?}?"),
            _ if About::parse(word).is_some() => format!("write what it is about: \"{word}:…\""),
            _ if Number::parse(word).is_some() => format!("compare it: \"{word}>5\" or \"{word}<5\""),
            _ => "the list of facts is in rules/README.md".into(),
        })
    }

    /// Whether it holds.
    pub fn holds(&self, source: &dyn Source) -> bool {
        match self {
            Self::About(about, argument) => source.about(*about, argument),
            Self::Plain(plain) => source.plain(*plain),
            Self::Number { number, more, than } => {
                source.number(*number).is_some_and(|value| if *more { value > *than } else { value < *than })
            }
        }
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn word<T: PartialEq>(all: &'static [(&'static str, T, &'static str)], value: &T) -> &'static str {
            all.iter().find(|row| row.1 == *value).map_or("", |row| row.0)
        }
        match self {
            Self::About(about, argument) => write!(f, "{}:{argument}", word(About::ALL, about)),
            Self::Plain(plain) => f.write_str(word(Plain::ALL, plain)),
            Self::Number { number, more, than } => {
                write!(f, "{}{}{than}", word(Number::ALL, number), if *more { '>' } else { '<' })
            }
        }
    }
}

/// What can be asked: a message, or the imaginary one of a case.
pub(super) trait Source {
    /// A condition with an argument (lower case).
    fn about(&self, about: About, argument: &str) -> bool;
    /// A condition.
    fn plain(&self, plain: Plain) -> bool;
    /// A number; `None` where there is none (no date to compare).
    fn number(&self, number: Number) -> Option<u64>;
}

/// The imaginary message of a case: the facts listed hold, no others; numbers as `url-count=7`, 0 unless said.
pub(super) struct Imagined {
    facts: Vec<Fact>,
    numbers: Vec<(Number, u64)>,
}

impl Imagined {
    /// Reads `missing:Date html-only url-count=7`; the error is the word that could not be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut imagined = Self { facts: Vec::new(), numbers: Vec::new() };
        for word in text.split_whitespace() {
            if let Some((name, value)) = word.split_once('=') {
                let number = Number::parse(name).ok_or_else(|| format!("no number {name:?}"))?;
                imagined.numbers.push((number, value.parse().map_err(|_| format!("not a number: {value:?}"))?));
            } else {
                imagined.facts.push(Fact::parse(word).map_err(|hint| format!("no fact {word:?}; {hint}"))?);
            }
        }
        Ok(imagined)
    }
}

impl Source for Imagined {
    fn about(&self, about: About, argument: &str) -> bool {
        self.facts.iter().any(|fact| match fact {
            Fact::About(held, what) if *held == about => match about {
                About::Finding => what.starts_with(argument),
                _ => what == argument,
            },
            _ => false,
        })
    }

    fn plain(&self, plain: Plain) -> bool {
        self.facts.contains(&Fact::Plain(plain))
    }

    fn number(&self, number: Number) -> Option<u64> {
        self.numbers.iter().find(|(held, _)| *held == number).map(|(_, value)| *value).or(Some(0))
    }
}

/// A real message. What costs work is measured once, when first asked.
pub(super) struct Observed<'a> {
    message: &'a Message,
    context: &'a Context,
    measures: Measures<'a>,
}

impl<'a> Observed<'a> {
    /// Facts of this message.
    pub fn new(message: &'a Message, context: &'a Context) -> Self {
        Self { message, context, measures: Measures::new(message) }
    }

    /// What to show of a fact that holds, and the part it is about.
    pub fn evidence(&self, fact: &Fact) -> (String, Option<PartId>) {
        match fact {
            Fact::About(About::Finding, code) => match self.message.findings.iter().find(|finding| finding.code.starts_with(code.as_str()))
            {
                Some(finding) => (format!("{} {}", finding.code, finding.evidence), finding.part),
                None => (fact.to_string(), None),
            },
            _ => (fact.to_string(), None),
        }
    }

    fn first(&self, name: &str) -> &str {
        self.message.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map_or("", |header| header.value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.message.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
    }

    fn from_domain(&self) -> Option<String> {
        addresses::domain(self.first("from"))
    }
}

impl Source for Observed<'_> {
    fn about(&self, about: About, argument: &str) -> bool {
        let named = || self.message.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(argument));
        match about {
            About::Missing => named().next().is_none(),
            About::Empty => named().next().is_some_and(|header| header.value.trim().is_empty()),
            About::Repeated => named().nth(1).is_some(),
            About::Finding => self.message.findings.iter().any(|finding| finding.code.starts_with(argument)),
        }
    }

    fn plain(&self, plain: Plain) -> bool {
        let subject = self.message.subject();
        match plain {
            Plain::NullSender => self.context.envelope.sender == ReversePath::Null,
            Plain::SenderDiffers => {
                let sender =
                    self.context.envelope.sender.address().map(|address| addresses::organisation(&address.domain_key()).to_owned());
                sender.zip(self.from_domain()).is_some_and(|(sender, from)| sender != addresses::organisation(&from))
            }
            Plain::ReplyToDiffers => addresses::domain(self.first("reply-to"))
                .zip(self.from_domain())
                .is_some_and(|(reply, from)| addresses::organisation(&reply) != addresses::organisation(&from)),
            Plain::NameShowsOtherAddress => addresses::name_shows_other(self.first("from")),
            Plain::FromIsTo => addresses::address(self.first("from")).is_some_and(|from| addresses::all(self.first("to")).contains(&from)),
            Plain::SubjectNamesRecipient => {
                let recipients = self.context.envelope.recipients.iter().take(3).map(|recipient| recipient.address.key());
                recipients.chain(addresses::all(self.first("to")).into_iter().take(3)).any(|address| addresses::named_in(&address, subject))
            }
            Plain::ToNameIsMailbox => addresses::name_is_mailbox(self.first("to")),
            Plain::MailerContradicts => addresses::versions_differ(self.first("x-mailer"), self.first("x-mimeole")),
            Plain::SubjectCaps => self.measures.subject_caps(),
            Plain::HtmlOnly => self.measures.html_only(),
            Plain::ImageOnly => self.measures.images() > 0 && self.measures.words() < 20,
            Plain::NoBody => self.measures.words() == 0 && self.measures.attachments() == 0 && self.measures.images() == 0,
            Plain::AlternativeDiffers => self.measures.alternative_differs(),
            Plain::LinkDiffers => self.measures.link_differs(),
            Plain::BrokenHeaderBytes => {
                self.message.raw.get(..self.message.body_start).is_some_and(|head| std::str::from_utf8(head).is_err())
            }
            Plain::List => ["list-id", "list-unsubscribe", "list-post", "mailing-list"].iter().any(|name| self.has(name)),
            Plain::Reply => ["in-reply-to", "references"].iter().any(|name| self.has(name)),
            Plain::HtmlAttachment => self.measures.html_attachment(),
        }
    }

    fn number(&self, number: Number) -> Option<u64> {
        let count = match number {
            Number::UrlCount => self.message.urls.len(),
            Number::UrlHosts => self.measures.url_organisations(),
            Number::PartCount => self.message.parts.len(),
            Number::AttachmentCount => self.measures.attachments(),
            Number::ImageCount => self.measures.images(),
            Number::RecipientCount => self.context.envelope.recipients.len(),
            Number::NamedRecipients => addresses::all(self.first("to")).len() + addresses::all(self.first("cc")).len(),
            Number::ReceivedCount => self.message.header("received").count(),
            Number::Hops => self.message.header("received").count() + usize::from(self.context.origin.peer.is_some()),
            Number::BodyWords => self.measures.words(),
            Number::HiddenChars => self.measures.hidden_chars(),
            Number::MixedWords => self.measures.mixed_words(),
            Number::HoursAhead => return self.measures.hours_ahead().map(|hours| u64::try_from(hours).unwrap_or(0)),
            Number::HoursBehind => return self.measures.hours_ahead().map(|hours| u64::try_from(-hours).unwrap_or(0)),
            Number::SizeKib => self.message.raw.len() / 1024,
        };
        u64::try_from(count).ok()
    }
}
