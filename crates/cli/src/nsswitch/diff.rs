//! The difference between two texts, if only one line or a few adjacent ones changed.

use crate::output::escape::printable_line;
use crate::output::paint::{Paint, Tone};
use crate::state::lossy;

/// The lines of a unified diff (POSIX diff(1), `-u`), without context; none where nothing changed.
pub(crate) fn lines(name: &str, old: &[u8], new: &[u8], paint: Paint) -> Vec<String> {
    let split = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (old, new) = (split(old), split(new));
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let behind =
        old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (gone, come) = (&old_rest[..old_rest.len() - behind], &new_rest[..new_rest.len() - behind]);
    if gone.is_empty() && come.is_empty() {
        return Vec::new();
    }
    let range = |lines: &[Vec<u8>]| match lines.len() {
        0 => format!("{before},0"),
        1 => format!("{}", before + 1),
        count => format!("{},{count}", before + 1),
    };
    let line = |sign: char, tone: Tone, line: &Vec<u8>| {
        paint.paint(tone, &format!("{sign}{}", printable_line(lossy(line).trim_end_matches('\n'))))
    };
    let mut lines = vec![
        paint.paint(Tone::Strong, &format!("--- {name}")),
        paint.paint(Tone::Strong, &format!("+++ {name}")),
        paint.paint(Tone::Faint, &format!("@@ -{} +{} @@", range(gone), range(come))),
    ];
    lines.extend(gone.iter().map(|gone| line('-', Tone::Bad, gone)));
    lines.extend(come.iter().map(|come| line('+', Tone::Good, come)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Color;

    #[test]
    fn one_place() {
        let lines = |old: &str, new: &str| {
            let paint = Paint::new(Color::Never, &std::io::stdout());
            lines("f", old.as_bytes(), new.as_bytes(), paint).split_off(2)
        };
        assert_eq!(lines("a\nb\nc\n", "a\nx\nc\n"), ["@@ -2 +2 @@", "-b", "+x"]);
        assert_eq!(lines("a\na\n", "a\na\na\n"), ["@@ -2,0 +3 @@", "+a"]);
        assert_eq!(lines("a\nb\nc", ""), ["@@ -1,3 +0,0 @@", "-a", "-b", "-c"]);
    }

    #[test]
    fn no_difference() {
        let paint = Paint::new(Color::Never, &std::io::stdout());
        assert!(lines("f", b"a\nb", b"a\nb", paint).is_empty());
    }
}
