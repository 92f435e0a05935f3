//! The table of libvirt's own test of its modules, `nsstest`, read from its source package.
//!
//! `tests/setup` puts two things of the source into `target/stock/nsstest`: `nsstest.c`, where each line
//! `DO_TEST(NAME, FAMILY, ADDRESS...);` is a look-up by `gethostbyname2_r`, and the state files `nssdata/*`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use abi::{Kind, Query, StateDir};

/// libvirt's table.
pub struct Table {
    files: Vec<(OsString, Vec<u8>)>,
    /// The look-ups, in order.
    pub rows: Vec<Row>,
}

/// A look-up and its expected addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which module.
    pub kind: Kind,
    /// The call.
    pub query: Query,
    /// The answer; see [`outcome`](crate::peer::outcome).
    pub answer: String,
}

impl Table {
    /// Reads the table that `tests/setup` has fetched into a directory below `target`.
    ///
    /// # Errors
    ///
    /// What can't be read or parsed.
    pub fn read(target: &Path) -> Result<Table, String> {
        let directory = target.join("stock/nsstest");
        let failure = |error: io::Error| {
            format!("{}: {error}; run `tests/setup compliance`", directory.display())
        };
        let source = fs::read_to_string(directory.join("nsstest.c")).map_err(failure)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(directory.join("nssdata")).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            files.push((entry.file_name(), fs::read(entry.path()).map_err(failure)?));
        }
        let rows = rows(&source)?;
        if rows.is_empty() || files.is_empty() {
            return Err(format!("{}: no table of look-ups", directory.display()));
        }
        Ok(Table { files, rows })
    }

    /// Writes the state files into an empty state directory.
    pub fn write(&self, state: &StateDir) {
        for (name, contents) in &self.files {
            state.write(&name.to_string_lossy(), contents);
        }
    }
}

/// The lines of the table. Those of the guests' module are between `#else` and `#endif`.
fn rows(source: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut kind = None;
    for line in source.lines().map(str::trim) {
        let directive = line.strip_prefix('#').map_or("", str::trim_start);
        if directive.starts_with("if !defined(LIBVIRT_NSS_GUEST)") {
            kind = Some(Kind::Host);
        } else if directive.starts_with("else") && kind.is_some() {
            kind = Some(Kind::Guest);
        } else if directive.starts_with("endif") {
            kind = None;
        }
        let call = line.strip_prefix("DO_TEST(").and_then(|rest| rest.strip_suffix(");"));
        if let (Some(call), Some(kind)) = (call, kind) {
            rows.push(
                row(kind, call).ok_or_else(|| format!("nsstest.c: unexpected line: {line}"))?,
            );
        }
    }
    Ok(rows)
}

/// Parses `"NAME", FAMILY, "ADDRESS", ...`; `NULL` in place of addresses means none.
fn row(kind: Kind, call: &str) -> Option<Row> {
    let text = |argument: &str| -> Option<String> {
        Some(argument.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    let mut arguments = call.split(',').map(str::trim);
    let name = text(arguments.next()?)?;
    let family = match arguments.next()? {
        "AF_INET" => libc::AF_INET,
        "AF_INET6" => libc::AF_INET6,
        "AF_UNSPEC" => libc::AF_UNSPEC,
        _ => return None,
    };
    let addresses: Vec<&str> = arguments.filter(|argument| *argument != "NULL").collect();
    let answer = if addresses.is_empty() {
        "NOTFOUND ESRCH HOST_NOT_FOUND".to_owned()
    } else {
        let addresses: Vec<String> = addresses.into_iter().map(text).collect::<Option<_>>()?;
        format!("{name}: {}", addresses.join(" "))
    };
    Some(Row { kind, query: Query::name2(&name, family), answer })
}

#[cfg(test)]
mod tests {
    use super::{Row, rows};
    use abi::{Kind, Query};
    use libc::{AF_INET, AF_UNSPEC};

    #[test]
    fn a_table() {
        let source = "# define DO_TEST(name) x\n# if !defined(LIBVIRT_NSS_GUEST)\n    DO_TEST(\"a\", \
                      AF_INET, \"10.0.0.1\", \"10.0.0.2\");\n    DO_TEST(\"b\", AF_UNSPEC, NULL);\n# else \
                      /* x */\n    DO_TEST(\"c\", AF_INET, \"10.0.0.3\");\n# endif\n";
        let row = |kind, query, answer: &str| Row { kind, query, answer: answer.to_owned() };
        let wanted = [
            row(Kind::Host, Query::name2("a", AF_INET), "a: 10.0.0.1 10.0.0.2"),
            row(Kind::Host, Query::name2("b", AF_UNSPEC), "NOTFOUND ESRCH HOST_NOT_FOUND"),
            row(Kind::Guest, Query::name2("c", AF_INET), "c: 10.0.0.3"),
        ];
        assert_eq!(rows(source).expect("a table"), wanted);
        assert!(rows("# if !defined(LIBVIRT_NSS_GUEST)\nDO_TEST(\"a\", AF_X25);").is_err());
    }
}
