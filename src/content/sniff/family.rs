//! Families of types: what a name, a declared type and content say of a file is compared by family. Within one, programs and people are
//! careless with names; across them a wrong one is worth a note.

/// A family of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Program,
    Script,
    Archive,
    Office,
    Pdf,
    Image,
    Media,
    Html,
    Text,
}

use Family::{Archive, Html, Image, Media, Office, Pdf, Program, Script, Text};

/// Endings of names, which are names of true types too.
const ENDINGS: [(Family, &[&str]); 9] = [
    (Program, &["exe", "elf", "macho", "java", "class", "dex", "msi", "lnk", "com", "scr", "dll", "pif", "cpl", "sys"]),
    (Script, &["script", "js", "jse", "vbs", "vbe", "wsf", "hta", "bat", "cmd", "ps1", "sh", "py", "pl"]),
    (
        Archive,
        &[
            "zip", "jar", "apk", "gzip", "gz", "tgz", "bzip2", "bz2", "xz", "txz", "lzma", "zstd", "zst", "compress", "z", "7z", "rar",
            "cab", "tar", "arj", "lzh", "lha", "ace", "ar", "cpio", "iso", "img", "dmg", "vhd", "rpm", "deb", "lzip", "lz", "lz4", "zoo",
            "arc", "sit", "sitx", "alz", "egg", "xar", "wim", "vmdk", "qcow2", "vdi", "squashfs", "udf", "fat", "ntfs", "disk", "epub",
        ],
    ),
    (
        Office,
        &[
            "ole2", "doc", "dot", "docx", "docm", "dotx", "xls", "xlsx", "xlsm", "xlsb", "xlt", "ppt", "pps", "pptx", "pptm", "ppsx",
            "odf", "odt", "ods", "odp", "rtf", "msg", "one", "chm", "vsd", "mpp", "pub", "tnef",
        ],
    ),
    (Pdf, &["pdf"]),
    (Image, &["jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "tif", "tiff", "webp", "ico", "heic", "heif", "avif", "jp2", "psd"]),
    (Media, &["mp3", "mp4", "m4a", "m4v", "wav", "ogg", "avi", "mov", "mkv", "webm", "flac", "mpg", "mpeg", "wmv", "wma", "mid", "midi"]),
    (Html, &["html", "htm", "xhtml", "shtml", "mht", "mhtml"]),
    (
        Text,
        &["text", "txt", "csv", "log", "xml", "mail", "eml", "ics", "vcf", "md", "json", "c", "h", "diff", "patch", "ini", "cfg", "conf"],
    ),
];

/// Declared types, by how they begin.
const DECLARED: [(&str, Family); 26] = [
    ("image/svg", Text),
    ("image/", Image),
    ("audio/", Media),
    ("video/", Media),
    ("text/html", Html),
    ("text/rtf", Office),
    ("text/richtext", Office),
    ("text/", Text),
    ("application/pdf", Pdf),
    ("application/zip", Archive),
    ("application/x-zip", Archive),
    ("application/gzip", Archive),
    ("application/x-gzip", Archive),
    ("application/x-7z", Archive),
    ("application/x-rar", Archive),
    ("application/vnd.rar", Archive),
    ("application/x-tar", Archive),
    ("application/x-bzip", Archive),
    ("application/java-archive", Archive),
    ("application/msword", Office),
    ("application/rtf", Office),
    ("application/vnd.ms-", Office),
    ("application/vnd.openxmlformats", Office),
    ("application/vnd.oasis", Office),
    ("application/x-msdownload", Program),
    ("application/x-dosexec", Program),
];

/// Whether the ending of a name has programs read it as text, whatever stands in it: pages, mail, scripts, cards.
pub(crate) fn is_text_name(name: &str) -> bool {
    const MORE: [&str; 17] =
        ["xht", "svg", "mbox", "mbx", "emlx", "ifb", "vcs", "wml", "ldif", "asc", "url", "webarchive", "htc", "xsl", "xslt", "css", "php"];
    let Some((_, ending)) = name.rsplit_once('.') else { return false };
    let ending = ending.trim().to_ascii_lowercase();
    matches!(of_ending(&ending), Some(Html | Text | Script)) || MORE.contains(&ending.as_str())
}

fn of_ending(ending: &str) -> Option<Family> {
    ENDINGS.iter().find(|(_, endings)| endings.contains(&ending)).map(|(family, _)| *family)
}

/// Whether a claim of one family may stand over content of another: what ordinary programs do.
fn agree(claim: Family, content: Family) -> bool {
    if claim == content {
        return true;
    }
    match content {
        // Text is what everything may be that is not what it claims, and harms nobody as such.
        Text => true,
        Script => matches!(claim, Text | Html),
        // Office writes HTML under its old names, and mail programs send it as text.
        Html => matches!(claim, Text | Office | Script),
        // Many formats are a zip or a compound file by another name.
        Archive => matches!(claim, Office | Program),
        Office => matches!(claim, Archive | Program),
        // A self-extracting archive.
        Program => false,
        // Pictures with sound, and names for them that nobody keeps apart.
        Image | Media => matches!(claim, Image | Media) || claim == Office,
        Pdf => false,
    }
}

/// Whether the ending of the name or the declared type is of another family than the content. What says nothing (no ending, a general type)
/// contradicts nothing.
pub(crate) fn differs(name: Option<&str>, declared: &str, true_type: &str) -> bool {
    let Some(content) = of_ending(true_type) else { return false };
    let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.trim().to_ascii_lowercase());
    let by_name = ending.as_deref().and_then(of_ending);
    let by_type = DECLARED.iter().find(|(start, _)| declared.starts_with(start)).map(|(_, family)| *family);
    [by_name, by_type].into_iter().flatten().any(|claim| !agree(claim, content))
}

/// Endings of archives, disk images and packed or locked files that have no mark of their own, or one too short to go by.
const UNMARKED: &[&str] = &[
    "cpt",
    "dar",
    "pea",
    "br",
    "brotli",
    "bz3",
    "lzo",
    "sz",
    "rz",
    "lrz",
    "zpaq",
    "paq",
    "paq8",
    "kgb",
    "uha",
    "lha",
    "pak",
    "yz1",
    "gca",
    "bh",
    "ain",
    "hpk",
    "ha",
    "sqz",
    "rk",
    "sbc",
    "uc2",
    "aes",
    "axx",
    "age",
    "enc",
    "tc",
    "hc",
    "ost",
    "zipx",
    "esd",
    "swm",
    "partimg",
    "sparseimage",
    "deflate",
    "lzs",
    "qpress",
    "mar",
    "b1",
    "war",
    "wsz",
];

/// Whether a file is named as an archive: what has such a name and is of no type that is known may be one that some client opens.
pub(crate) fn is_archive_name(name: &str) -> bool {
    let Some((_, ending)) = name.rsplit_once('.') else { return false };
    let ending = ending.trim().to_ascii_lowercase();
    // The later volumes of rar, arj, ace, zip and of any archive cut in pieces: r00, a01, c00, z01, 001.
    let digits = ending.strip_prefix(['r', 'a', 'c', 'z']).unwrap_or(&ending);
    let volume = ending.len() == 3 && digits.len() >= 2 && digits.bytes().all(|c| c.is_ascii_digit());
    volume || UNMARKED.contains(&ending.as_str()) || of_ending(&ending) == Some(Archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archives() {
        for name in ["a.rar", "a.R00", "a.a01", "a.7z.001", "a.tar.br", "a.cpt"] {
            assert!(is_archive_name(name), "{name}");
        }
        for name in ["a.txt", "a", "rar", "a.dat", "a.1", "a.v01", "a.bin"] {
            assert!(!is_archive_name(name), "{name}");
        }
    }

    #[test]
    fn what_contradicts() {
        let rows: &[(Option<&str>, &str, &str, bool)] = &[
            (Some("a.pdf"), "application/pdf", "exe", true),
            (Some("a.pdf"), "application/octet-stream", "exe", true),
            (Some("a.jpg"), "image/jpeg", "zip", true),
            (Some("a.PNG"), "", "html", true),
            (Some("a.exe"), "image/png", "exe", true),
            (None, "text/plain", "exe", true),
            (Some("a.pdf"), "application/pdf", "pdf", false),
            (Some("a"), "application/octet-stream", "exe", false),
            (Some("a.dat"), "application/octet-stream", "zip", false),
            (Some("a.doc"), "application/msword", "html", false),
            (Some("a.docx"), "application/zip", "docx", false),
            (Some("a.jpg"), "image/gif", "png", false),
            (Some("a.zip"), "application/zip", "text", false),
            (Some("a.xpi"), "application/x-xpinstall", "jar", false),
            (None, "", "", false),
        ];
        for (name, declared, true_type, want) in rows {
            assert_eq!(differs(*name, declared, true_type), *want, "{name:?} {declared} {true_type}");
        }
    }
}
