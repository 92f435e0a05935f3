//! Writes the tables into docs/benchmarks.md, between their marks, and the plot of them beside it.
//!
//! ```text
//! <!-- bench:NAME -->
//! everything here is replaced
//! <!-- /bench -->
//! ```

use std::fs;
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::plot;
use crate::system;
use crate::table::Table;

const END: &str = "<!-- /bench -->";

/// Replaces the tables that were measured now, and keeps the others. `stock`: the directory of libvirt's modules.
pub(crate) fn write(folder: &Path, tables: &[Table], stock: &Path) -> Result<()> {
    let path = folder.join("benchmarks.md");
    let mut text = fs::read_to_string(&path).context(path.display())?;
    let version = system::stock_version(stock)?;
    let machine = format!("{}; libvirt's modules of {version}.\n", system::description());
    text = replace(&text, "machine", &machine).context(path.display())?;
    for table in tables {
        text = replace(&text, table.id, &table.for_markdown()).context(path.display())?;
    }
    fs::write(&path, text).context(path.display())?;
    plot(folder)
}

/// Draws the plot from the tables of the page.
pub(crate) fn plot(folder: &Path) -> Result<()> {
    let (page, path) = (folder.join("benchmarks.md"), folder.join("benchmarks.svg"));
    let text = fs::read_to_string(&page).context(page.display())?;
    let plot = plot::of_page(&text).context(page.display())?;
    fs::write(&path, plot).context(path.display())
}

fn replace(text: &str, id: &str, contents: &str) -> Result<String> {
    let begin = format!("<!-- bench:{id} -->\n");
    let lacks = |mark: &str| Error::new(format!("there is no line {}", mark.trim_end()));
    let start = text.find(&begin).ok_or_else(|| lacks(&begin))? + begin.len();
    let end = start + text[start..].find(END).ok_or_else(|| lacks(END))?;
    Ok(format!("{}{contents}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_stays() {
        let text =
            "a\n<!-- bench:x -->\nold\n<!-- /bench -->\nb\n<!-- bench:y -->\n<!-- /bench -->\n";
        let new = replace(text, "x", "new\n").expect("the marks exist");
        assert_eq!(new, text.replace("old", "new"));
        let again = replace(&new, "x", "new\n").expect("the marks still exist");
        assert_eq!(again, new);
        assert!(
            replace(text, "z", "").expect_err("it has no marks").to_string().contains("bench:z")
        );
    }
}
