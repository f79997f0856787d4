//! How fast messages are taken apart. `MAILWEIR_CORPUS` names a folder of real mail; without it, mail of the usual kinds is made up.

use std::hint::black_box;
use std::path::PathBuf;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailweir::content::{Limits, decompose};

fn text(lines: usize) -> Bytes {
    let head = "From: a@b.example\r\nTo: c@d.example\r\nSubject: words\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n\r\n";
    let body = "The quick brown fox jumps over the lazy dog, see http://x.example/path for more.\r\n".repeat(lines);
    format!("{head}{body}").into()
}

fn html(rows: usize) -> Bytes {
    let head = "From: a@b.example\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body><table>";
    let row = "<tr><td style=3D\"color:red\"><a href=3D\"http://x.example/\">gr=C3=BCn &amp; blau</a></td>=\r\n<td>some words of text</td></tr>\r\n";
    format!("{head}{}</table></body></html>", row.repeat(rows)).into()
}

fn attachment(bytes: usize) -> Bytes {
    let head = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n--=_B\r\n\r\nsee attached\r\n--=_B\r\n\
                Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let line = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\r\n";
    format!("{head}{}--=_B--\r\n", line.repeat(bytes / 57)).into()
}

fn corpus() -> Vec<Bytes> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("MAILWEIR_CORPUS").map(PathBuf::from).into_iter().collect();
    let mut mail = Vec::new();
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ending| ending == "eml") {
                mail.extend(std::fs::read(path).ok().map(|raw| Bytes::from(String::from_utf8_lossy(&raw).replace('\n', "\r\n"))));
            }
        }
    }
    mail
}

fn decompositions(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("decompose");
    let sets = [
        ("text 20 KB", vec![text(250)]),
        ("html 50 KB", vec![html(400)]),
        ("attachment 5 MB", vec![attachment(5_000_000)]),
        ("corpus", corpus()),
    ];
    for (name, mail) in sets.into_iter().filter(|(_, mail)| !mail.is_empty()) {
        group.throughput(Throughput::Bytes(mail.iter().map(|raw| raw.len() as u64).sum()));
        group.sample_size(10);
        group.bench_function(name, |b| b.iter(|| mail.iter().for_each(|raw| _ = black_box(decompose(raw.clone(), &limits)))));
    }
    group.finish();
}

criterion_group!(benches, decompositions);
criterion_main!(benches);
