//! Who may take part, if not everybody: peer ids, one a line, `#` starts a comment.

use std::{collections::BTreeSet, fmt, fs, path::Path, path::PathBuf, sync::Arc};

use anyhow::Context;
use libp2p::PeerId;
use tokio::sync::watch;

use crate::name::NodeId;

/// Far above any list of nodes: a wrong file is not read into memory.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The list as it is in force.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// `None`: everybody may take part.
    pub nodes: Option<Arc<BTreeSet<NodeId>>>,
    /// Why the file, last read, did not replace it.
    pub error: Option<String>,
}

impl Members {
    pub fn has(&self, node: &NodeId) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }

    /// True if there is a list and the node is in it.
    pub(super) fn names(&self, node: &NodeId) -> bool {
        self.nodes.as_ref().is_some_and(|nodes| nodes.contains(node))
    }
}

/// What a reload of the list changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersChange {
    pub added: Vec<NodeId>,
    /// Disconnected, and heard no more.
    pub removed: Vec<NodeId>,
}

/// A wrong line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    line: usize,
    text: String,
    /// Wrong lines after it.
    more: usize,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}, expected a peer id such as 12D3KooW… or a comment after #", self.line, self.text)?;
        if self.more > 0 { write!(f, " ({} more wrong lines)", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for BadLine {}

/// The members in a file.
pub fn read(file: &Path) -> anyhow::Result<BTreeSet<NodeId>> {
    let shown = file.display();
    let bytes = fs::metadata(file).with_context(|| format!("cannot read {shown}"))?.len();
    anyhow::ensure!(bytes <= MAX_FILE_BYTES, "{shown} has {bytes} bytes, expected a list of at most {MAX_FILE_BYTES}");
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    parse(&text).with_context(|| shown.to_string())
}

pub(super) fn parse(text: &str) -> Result<BTreeSet<NodeId>, BadLine> {
    let mut nodes = BTreeSet::new();
    let mut bad: Option<BadLine> = None;
    for (at, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match (content.parse::<PeerId>(), content.parse::<NodeId>(), &mut bad) {
            (Ok(_), Ok(node), _) => {
                nodes.insert(node);
            }
            (_, _, Some(bad)) => bad.more += 1,
            (_, _, None) => {
                let text = content.chars().take(80).collect();
                bad = Some(BadLine { line: at + 1, text, more: 0 });
            }
        }
    }
    bad.map_or(Ok(nodes), Err)
}

/// The list, its file, and all who look at it.
#[derive(Debug)]
pub(super) struct Membership {
    file: Option<PathBuf>,
    list: watch::Sender<Members>,
}

impl Membership {
    pub(super) fn new(list: Option<(PathBuf, BTreeSet<NodeId>)>) -> Self {
        let (file, nodes) = list.unzip();
        Self { file, list: watch::Sender::new(Members { nodes: nodes.map(Arc::new), error: None }) }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Members> {
        self.list.subscribe()
    }

    pub(super) fn current(&self) -> Members {
        self.list.borrow().clone()
    }

    pub(super) fn has(&self, node: &NodeId) -> bool {
        self.list.borrow().has(node)
    }

    /// True if the node is in a list.
    pub(super) fn names(&self, node: &NodeId) -> bool {
        self.list.borrow().names(node)
    }

    /// Reads the file again. A wrong one leaves the list as it is.
    pub(super) fn reload(&self) -> anyhow::Result<MembersChange> {
        let Some(file) = &self.file else { return Ok(MembersChange::default()) };
        let old = self.current().nodes.unwrap_or_default();
        match read(file) {
            Ok(new) => {
                let change = MembersChange {
                    added: new.difference(&old).cloned().collect(),
                    removed: old.difference(&new).cloned().collect(),
                };
                self.list.send_replace(Members { nodes: Some(Arc::new(new)), error: None });
                Ok(change)
            }
            Err(error) => {
                self.list.send_modify(|list| list.error = Some(format!("{error:#}")));
                Err(error.context("the list of members stays as it was"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> String {
        PeerId::random().to_base58()
    }

    #[test]
    fn comments_blanks_and_line_ends_are_tolerated_and_doubles_count_once() {
        let (first, second) = ("12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf", id());
        let text = format!("# nodes\r\n\n  {first}\t# the first\r\n{second}\n{first}");
        let expected = [first, &second].map(|id| id.parse().unwrap());
        assert_eq!(parse(&text).unwrap(), expected.into());
        assert_eq!(parse("").unwrap(), BTreeSet::new());
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        let long = "1".repeat(10_000);
        for wrong in ["nobody", "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYg x", "/ip4/10.0.0.1/tcp/1", &long]
        {
            let error = parse(&format!("{}\n# comment\n{wrong}\n{}\nalso wrong", id(), id())).unwrap_err();
            assert_eq!((error.line, error.more), (3, 1));
            assert!(error.to_string().len() < 400 && error.to_string().contains("line 3"), "{error}");
        }
    }

    #[test]
    fn a_reload_tells_who_came_and_went_and_a_wrong_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("peers");
        let (first, second, third) = (id(), id(), id());
        fs::write(&file, format!("{first}\n{second}")).unwrap();
        let membership = Membership::new(Some((file.clone(), read(&file).unwrap())));
        let node = |id: &str| id.parse::<NodeId>().unwrap();
        fs::write(&file, format!("{first}\n{third}")).unwrap();
        let change = membership.reload().unwrap();
        assert_eq!(change, MembersChange { added: vec![node(&third)], removed: vec![node(&second)] });
        assert!(membership.has(&node(&third)) && !membership.has(&node(&second)));
        fs::write(&file, "nobody").unwrap();
        let error = format!("{:#}", membership.reload().unwrap_err());
        assert!(error.contains("peers") && error.contains("line 1"), "{error}");
        fs::remove_file(&file).unwrap();
        assert!(membership.reload().is_err());
        assert!(membership.has(&node(&third)) && membership.current().error.unwrap().contains("cannot read"));
        fs::write(&file, &third).unwrap();
        assert_eq!(membership.reload().unwrap().removed, [node(&first)]);
        assert_eq!(membership.current().error, None);
    }

    #[test]
    fn without_a_list_everybody_is_a_member() {
        let membership = Membership::new(None);
        assert!(membership.has(&id().parse().unwrap()));
        assert_eq!(membership.reload().unwrap(), MembersChange::default());
    }
}
