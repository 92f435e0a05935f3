//! A text over the list that can be scrolled.

use super::keys::Command;
use crate::output::paint::{Paint, Tone};
use crate::output::table::cut;

/// Text that is longer than the screen.
pub(crate) struct Pager {
    title: String,
    lines: Vec<String>,
    /// The first line that is shown.
    top: usize,
}

impl Pager {
    /// `lines` are no longer than the screen is wide.
    pub(crate) fn new(title: String, lines: Vec<String>) -> Self {
        Self { title, lines, top: 0 }
    }

    /// Replaces the text; the position stays.
    pub(crate) fn replace(&mut self, lines: Vec<String>) {
        self.lines = lines;
    }

    /// Handles a command. Returns whether to close the text.
    pub(crate) fn obey(&mut self, command: Command, height: usize) -> bool {
        match command {
            Command::Escape | Command::Quit | Command::Explain => return true,
            Command::Move(motion) => {
                let page = page(height);
                // The last screenful is the end.
                let positions = self.lines.len().saturating_sub(page) + 1;
                self.top = motion.apply(self.top.min(positions - 1), positions, page);
            }
            _ => {}
        }
        false
    }

    /// The whole screen.
    pub(crate) fn screen(&self, (width, height): (usize, usize), paint: Paint) -> Vec<String> {
        let page = page(height);
        let top = self.top.min(self.lines.len().saturating_sub(page));
        let shown = self.lines.iter().skip(top).take(page).cloned();
        let mut lines = vec![paint.paint(Tone::Strong, &cut(&self.title, width))];
        lines.extend(shown);
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), String::new());
        let below = self.lines.len().saturating_sub(top + page);
        let more = if below > 0 { format!("  ({below} more lines)") } else { String::new() };
        let keys = format!("q back  up, down, Page Up, Page Down move{more}");
        lines.push(paint.paint(Tone::Faint, &cut(&keys, width)));
        lines
    }
}

/// How many lines of text fit: all but the title and the line of keys.
fn page(height: usize) -> usize {
    height.saturating_sub(2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::keys::Motion;

    #[test]
    fn scrolls_to_the_end_and_no_further() {
        let lines: Vec<String> = (1..=10).map(|line| format!("line {line}")).collect();
        let mut pager = Pager::new("title".into(), lines);
        let size = (40, 6);
        let first = |pager: &Pager| pager.screen(size, Paint::none())[1].clone();
        assert_eq!(pager.screen(size, Paint::none()).len(), 6);
        assert_eq!(first(&pager), "line 1");
        assert!(!pager.obey(Command::Move(Motion::Down), size.1));
        assert_eq!(first(&pager), "line 2");
        pager.obey(Command::Move(Motion::PageDown), size.1);
        assert_eq!(first(&pager), "line 6");
        pager.obey(Command::Move(Motion::Last), size.1);
        pager.obey(Command::Move(Motion::Down), size.1);
        assert_eq!(first(&pager), "line 7");
        pager.replace(vec!["short".into()]);
        assert_eq!(first(&pager), "short");
        assert!(pager.obey(Command::Escape, size.1));
    }
}
