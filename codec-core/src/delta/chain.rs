//! Chains of deltas: base -> v1 -> v2.
//!
//! A device collects the headers of all links first, [`Chain::check`]s them against what it holds and what it can
//! afford, and only then rebuilds anything. A link may also be a whole file (no `from`): it starts a chain that needs
//! no base.
//!
//! ```
//! use codec_core::container::digest::Id;
//! use codec_core::delta::chain::{Budgets, Chain, Content, Link};
//!
//! let (base, v1, v2) = (Id::of(b"base"), Id::of(b"v1"), Id::of(b"v2"));
//! let budgets = Budgets { new_len: 640 << 10, ram: 64 << 10 };
//! let mut chain = Chain::<4>::new();
//! chain.push(Link::delta(base.old(), v1, budgets))?;
//! chain.push(Link::delta(v1.old(), v2, budgets))?;
//! assert_eq!(chain.check(Some(&Content::of(base)), budgets)?.id, v2);
//! # Ok::<(), codec_core::Error>(())
//! ```

use crate::Error;
use crate::container::digest::{Id, OldId};
use crate::container::residue;

/// Most residues that a chain looks at. Each misses a wrong sum once in 2^61 times, so more would add nothing.
pub const CHAIN_RESIDUES: usize = 2;

/// The first residues of a container, at most [`CHAIN_RESIDUES`]. They may be fewer: what two lists share is compared.
pub type ResidueList = heapless::Vec<u64, CHAIN_RESIDUES>;

/// The first residues out of all that a container carries.
pub fn residue_list(residues: impl IntoIterator<Item = u64>) -> ResidueList {
    residues.into_iter().take(CHAIN_RESIDUES).collect()
}

/// Amounts in bytes: what a link declares, or what a device can afford.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Length of the rebuilt file.
    pub new_len: u32,
    /// Decoder memory.
    pub ram: u32,
}

impl Budgets {
    /// Whether `self` can be afforded where `limits` is what there is.
    ///
    /// # Errors
    /// [`Error::OverBudget`] (`new_len` or `ram`).
    pub fn check(&self, limits: Budgets) -> Result<(), Error> {
        let amounts = [("new_len", self.new_len, limits.new_len), ("ram", self.ram, limits.ram)];
        for (field, requested, limit) in amounts {
            if requested > limit {
                return Err(Error::OverBudget { field, requested: requested.into(), limit: limit.into() });
            }
        }
        Ok(())
    }
}

/// A content that is at hand, or that a chain leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its identity.
    pub id: Id,
    /// Residues of its codes; empty when they are not known.
    pub residues: ResidueList,
}

impl Content {
    /// The content of this identity, residues unknown.
    pub const fn of(id: Id) -> Self {
        Self { id, residues: ResidueList::new() }
    }
}

/// What one container says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The content that it is a delta against; `None` for a whole file.
    pub from: Option<OldId>,
    /// The content that it rebuilds. Its residues, where a sender declares them, are those of the rebuilt file.
    pub to: Content,
    /// Residues of its own codes: the true differences of a delta, the codes of a whole file. Empty: not known.
    pub residues: ResidueList,
    /// What rebuilding takes.
    pub budgets: Budgets,
}

impl Link {
    /// A delta without residues.
    pub const fn delta(from: OldId, to: Id, budgets: Budgets) -> Self {
        Self { from: Some(from), to: Content::of(to), residues: ResidueList::new(), budgets }
    }

    /// A whole file without residues.
    pub const fn whole(to: Id, budgets: Budgets) -> Self {
        Self { from: None, to: Content::of(to), residues: ResidueList::new(), budgets }
    }
}

/// At most `N` links, in the order in which they are to be applied.
#[derive(Clone, Debug, Default)]
pub struct Chain<const N: usize> {
    links: heapless::Vec<Link, N>,
}

impl<const N: usize> Chain<N> {
    /// A chain without links.
    pub const fn new() -> Self {
        Self { links: heapless::Vec::new() }
    }

    /// Appends a link.
    ///
    /// # Errors
    /// [`Error::OverBudget`] (`chain`) when there are `N` links already.
    pub fn push(&mut self, link: Link) -> Result<(), Error> {
        let (requested, limit) = (self.links.len() as u64 + 1, N as u64);
        self.links.push(link).map_err(|_| Error::OverBudget { field: "chain", requested, limit })
    }

    /// The links so far.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Checks the whole chain from `base`, the content at hand (`None`: nothing is), against `limits`, and says what it
    /// leads to. The residues of the result are known when the last link declares them, or when those of the base and
    /// of every link are. A chain without links leads to its base.
    ///
    /// # Errors
    /// The path of the whole chain is checked first, then its budgets, then its residues:
    /// - [`Error::OldMissing`] without a base, when the first link is a delta or there is none;
    /// - [`Error::ChainOrder`] for a link that starts at another content of this chain, or a whole file after link 0;
    /// - [`Error::WrongOld`] when the first link is made against another base;
    /// - [`Error::ChainGap`] when any other link does not start where the one before it ends;
    /// - [`Error::ChainLoop`] when a link leads back to the base or to the result of an earlier link;
    /// - [`Error::OverBudget`] (`new_len`, `ram`) when a link takes more than `limits`;
    /// - [`Error::ResidueMismatch`] when a link's residues, added to those before it, are not those declared for its
    ///   result; [`Error::OutOfRange`] (`crt_residues`) for numbers that are no residues.
    pub fn check(&self, base: Option<&Content>, limits: Budgets) -> Result<Content, Error> {
        check(&self.links, base, limits)
    }

    /// [`Chain::check`], and the result must be `target`: what a squashed delta or a manifest promises.
    ///
    /// # Errors
    /// As [`Chain::check`]; [`Error::DigestMismatch`] when the chain leads elsewhere; [`Error::ResidueMismatch`] when
    /// the residues of both are known and differ.
    pub fn check_leads_to(&self, target: &Content, base: Option<&Content>, limits: Budgets) -> Result<(), Error> {
        let end = self.check(base, limits)?;
        if end.id != target.id {
            return Err(Error::DigestMismatch { expected: target.id.old().0, found: end.id.old().0 });
        }
        compare(&end.residues, &target.residues)
    }
}

/// [`Chain::check`], compiled once for every `N`.
fn check(links: &[Link], base: Option<&Content>, limits: Budgets) -> Result<Content, Error> {
    check_path(links, base.map(|content| &content.id))?;
    links.iter().try_for_each(|link| link.budgets.check(limits))?;
    let mut at = base.cloned();
    for link in links {
        let sum = match (&at, link.from) {
            (Some(old), Some(_)) => add(&old.residues, &link.residues)?,
            _ => link.residues.clone(),
        };
        compare(&sum, &link.to.residues)?;
        let residues = if link.to.residues.is_empty() { sum } else { link.to.residues.clone() };
        at = Some(Content { id: link.to.id, residues });
    }
    at.ok_or(Error::OldMissing)
}

/// Whether the links lead from one content to the next, and never back.
fn check_path(links: &[Link], base: Option<&Id>) -> Result<(), Error> {
    let mut at = base;
    for (i, link) in links.iter().enumerate() {
        let index = i as u32;
        let starts_here = match (link.from, at) {
            (None, _) if i > 0 => return Err(Error::ChainOrder { index }),
            (None, _) => true,
            (Some(from), Some(at)) => from.names(at),
            (Some(_), None) => false,
        };
        if let (Some(from), false) = (link.from, starts_here) {
            if contents(links, base).any(|id| from.names(id)) {
                return Err(Error::ChainOrder { index });
            }
            return Err(match at {
                None => Error::OldMissing,
                Some(at) if i == 0 => Error::WrongOld { expected: from.0, found: at.old().0 },
                Some(_) => Error::ChainGap { index },
            });
        }
        // A link that changes nothing stands still, which is no loop; a whole file does not come from the base.
        let came_from = if link.from.is_some() { base } else { None };
        if at != Some(&link.to.id) && contents(&links[..i], came_from).any(|id| *id == link.to.id) {
            return Err(Error::ChainLoop { index });
        }
        at = Some(&link.to.id);
    }
    Ok(())
}

/// Every content that `links` pass.
fn contents<'a>(links: &'a [Link], base: Option<&'a Id>) -> impl Iterator<Item = &'a Id> {
    base.into_iter().chain(links.iter().map(|link| &link.to.id))
}

fn add(old: &[u64], delta: &[u64]) -> Result<ResidueList, Error> {
    old.iter().zip(delta).enumerate().map(|(j, (&old, &delta))| residue::add(j, old, delta)).collect()
}

fn compare(found: &[u64], expected: &[u64]) -> Result<(), Error> {
    for (j, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        if found != expected {
            return Err(Error::ResidueMismatch { index: j as u32, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::residue::{Residues, prime};
    use crate::delta::weights::Element;

    const LIMITS: Budgets = Budgets { new_len: 1000, ram: 64 << 10 };

    fn id(name: &str) -> Id {
        Id::of(name.as_bytes())
    }

    fn delta(from: &str, to: &str) -> Link {
        Link::delta(id(from).old(), id(to), LIMITS)
    }

    fn check(base: Option<&str>, links: &[Link]) -> Result<Id, Error> {
        let mut chain = Chain::<4>::new();
        for link in links {
            chain.push(link.clone())?;
        }
        chain.check(base.map(id).map(Content::of).as_ref(), LIMITS).map(|content| content.id)
    }

    #[test]
    fn good_chains() {
        assert_eq!(check(Some("a"), &[]), Ok(id("a")));
        assert_eq!(check(Some("a"), &[delta("a", "b")]), Ok(id("b")));
        assert_eq!(check(Some("a"), &[delta("a", "b"), delta("b", "c"), delta("c", "d")]), Ok(id("d")));
        let whole = Link::whole(id("b"), LIMITS);
        assert_eq!(check(None, &[whole.clone(), delta("b", "c")]), Ok(id("c")));
        assert_eq!(check(Some("a"), &[whole, delta("b", "c")]), Ok(id("c")));
    }

    #[test]
    fn broken_paths() {
        assert_eq!(check(None, &[]), Err(Error::OldMissing));
        assert_eq!(check(None, &[delta("a", "b")]), Err(Error::OldMissing));
        let wrong = Error::WrongOld { expected: id("a").old().0, found: id("x").old().0 };
        assert_eq!(check(Some("x"), &[delta("a", "b")]), Err(wrong));
        assert_eq!(check(Some("a"), &[delta("a", "b"), delta("x", "c")]), Err(Error::ChainGap { index: 1 }));
        let swapped = [delta("b", "c"), delta("a", "b")];
        assert_eq!(check(Some("a"), &swapped), Err(Error::ChainOrder { index: 0 }));
        let late = [delta("a", "b"), delta("c", "d"), delta("b", "c")];
        assert_eq!(check(Some("a"), &late), Err(Error::ChainOrder { index: 1 }));
        let twice = [delta("a", "b"), delta("a", "b")];
        assert_eq!(check(Some("a"), &twice), Err(Error::ChainOrder { index: 1 }));
        let whole_late = [delta("a", "b"), Link::whole(id("c"), LIMITS)];
        assert_eq!(check(Some("a"), &whole_late), Err(Error::ChainOrder { index: 1 }));
    }

    #[test]
    fn loops() {
        // An update that changes nothing stands still.
        assert_eq!(check(Some("a"), &[delta("a", "a")]).map(|_| ()), Ok(()));
        assert_eq!(check(Some("a"), &[delta("a", "b"), delta("b", "a")]), Err(Error::ChainLoop { index: 1 }));
        let inner = [delta("a", "b"), delta("b", "c"), delta("c", "b")];
        assert_eq!(check(Some("a"), &inner), Err(Error::ChainLoop { index: 2 }));
        let whole = [Link::whole(id("b"), LIMITS), delta("b", "c"), delta("c", "b")];
        assert_eq!(check(None, &whole), Err(Error::ChainLoop { index: 2 }));
    }

    #[test]
    fn over_long_and_over_budget() {
        let links = [delta("a", "b"), delta("b", "c"), delta("c", "d"), delta("d", "e"), delta("e", "f")];
        assert_eq!(check(Some("a"), &links), Err(Error::OverBudget { field: "chain", requested: 5, limit: 4 }));
        let mut large = links[..3].to_vec();
        large[1].budgets.new_len += 1;
        let error = Error::OverBudget { field: "new_len", requested: 1001, limit: 1000 };
        assert_eq!(check(Some("a"), &large), Err(error));
        large[1].budgets = Budgets { new_len: 0, ram: u32::MAX };
        let error = Error::OverBudget { field: "ram", requested: u32::MAX.into(), limit: 64 << 10 };
        assert_eq!(check(Some("a"), &large), Err(error));
    }

    /// Three versions of an int8 layer with differences that wrap, and the residues of everything.
    struct Versions {
        base: Content,
        links: [Link; 2],
        end: Content,
    }

    fn versions() -> Versions {
        let codes: [&[i8]; 3] = [&[127, -128, 0, 5], &[-128, 127, 1, 5], &[3, -100, 100, 5]];
        let content = |name, codes: &[i8]| {
            let mut residues = Residues::<3>::new();
            codes.iter().for_each(|&x| residues.push(x.into()));
            Content { id: id(name), residues: residue_list(*residues.values()) }
        };
        let link = |from, to, old: &[i8], new: &[i8]| {
            let mut residues = Residues::<3>::new();
            for (&x, &y) in old.iter().zip(new) {
                // As a reader does it: the payload holds the wrapped difference, the old code undoes the wrapping.
                let stored = Element::I8.wrapping_difference(x as u32, y as u32);
                let restored = Element::I8.restored(x as u32, stored);
                residues.push_difference(x.into(), Element::I8.code(restored));
            }
            Link { residues: residue_list(*residues.values()), ..delta(from, to) }
        };
        Versions {
            base: content("a", codes[0]),
            links: [link("a", "b", codes[0], codes[1]), link("b", "c", codes[1], codes[2])],
            end: content("c", codes[2]),
        }
    }

    fn chain(links: &[Link]) -> Chain<2> {
        let mut chain = Chain::new();
        links.iter().for_each(|link| chain.push(link.clone()).unwrap());
        chain
    }

    #[test]
    fn residues_of_good_chains_add_up() {
        let Versions { base, mut links, end } = versions();
        assert_eq!(chain(&links).check(Some(&base), LIMITS).unwrap(), end);
        chain(&links).check_leads_to(&end, Some(&base), LIMITS).unwrap();
        links[1].to.residues = end.residues.clone();
        assert_eq!(chain(&links).check(Some(&base), LIMITS).unwrap(), end);
        links[0].residues.clear(); // unknown in the middle: the last link's declaration stands
        assert_eq!(chain(&links).check(Some(&base), LIMITS).unwrap(), end);
        links[1].to.residues.clear();
        assert!(chain(&links).check(Some(&base), LIMITS).unwrap().residues.is_empty());
    }

    #[test]
    fn residues_that_do_not_add_up() {
        let Versions { base, links, end } = versions();
        for (link, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut bad = links.clone();
            bad[link].residues[j] ^= 1;
            let error = chain(&bad).check_leads_to(&end, Some(&base), LIMITS).unwrap_err();
            assert!(matches!(error, Error::ResidueMismatch { index, .. } if index == j as u32));
            bad[1].to.residues = end.residues.clone();
            let error = chain(&bad).check(Some(&base), LIMITS).unwrap_err();
            assert!(matches!(error, Error::ResidueMismatch { index, .. } if index == j as u32));
        }
        let mut bad = links;
        bad[0].residues[0] = prime(0).unwrap();
        let error = chain(&bad).check(Some(&base), LIMITS).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { field: "crt_residues", .. }));
    }

    #[test]
    fn a_chain_that_leads_elsewhere() {
        let Versions { base, links, .. } = versions();
        let error = chain(&links).check_leads_to(&Content::of(id("x")), Some(&base), LIMITS).unwrap_err();
        let expected = Error::DigestMismatch { expected: id("x").old().0, found: id("c").old().0 };
        assert_eq!(error, expected);
    }
}
