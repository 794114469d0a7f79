//! Which of Debian's packages is meant by a kernel's version.

const START: &str = "linux-image-";
/// A kernel that the archive has not signed; the same otherwise.
const UNSIGNED: &str = "-unsigned";

/// A package with a kernel and its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// As `uname -r` says it there.
    pub(super) release: String,
}

impl Package {
    fn named(name: &str) -> Option<Self> {
        let release = name.strip_prefix(START)?;
        let release = release.strip_suffix(UNSIGNED).unwrap_or(release);
        // Others only depend on the present kernel of a series, or hold debugging symbols.
        let has_abi = release.split(['.', '-', '+']).take_while(|part| part.parse::<u32>().is_ok()).count() >= 3;
        (has_abi && release.ends_with("-amd64")).then(|| Self { name: name.to_owned(), release: release.to_owned() })
    }

    fn is_signed(&self) -> bool {
        !self.name.ends_with(UNSIGNED)
    }
}

/// The kernels in a list of packages, newest first.
pub(super) fn kernels(list: &str) -> Vec<Package> {
    let mut kernels: Vec<Package> = list.lines().filter_map(|line| Package::named(line.trim())).collect();
    kernels.sort_by_key(|kernel| std::cmp::Reverse((numbers(&kernel.release), kernel.is_signed())));
    kernels
}

/// True if `release` is, or is the common kernel of, the version or release `wanted`.
pub(super) fn is_meant(release: &str, wanted: &str) -> bool {
    let is_common = !release.contains("-rt-") && !release.contains("-cloud-");
    let is_of = release.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '-', '+']));
    release == wanted || (is_of && is_common)
}

/// `6.12` of `6.12.117+deb12-amd64`.
pub(super) fn series(release: &str) -> String {
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

pub(super) fn numbers(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "linux-image-6.1.0-9-amd64\nlinux-image-6.1.0-57-amd64-unsigned\nlinux-image-6.1.0-57-amd64\n\
                        linux-image-6.1.0-57-rt-amd64\nlinux-image-6.12-amd64\nlinux-image-6.12.117+deb12-amd64\n\
                        linux-image-6.12.99+deb12-amd64-unsigned\nlinux-image-6.12.117+deb12-cloud-amd64\n\
                        linux-image-6.12.117+deb12-amd64-dbg\nlinux-image-amd64\nlinux-image-6.1.0-57-arm64\n";

    fn first(wanted: &str) -> Option<String> {
        kernels(LIST).into_iter().find(|kernel| is_meant(&kernel.release, wanted)).map(|kernel| kernel.name)
    }

    #[test]
    fn a_version_means_its_newest_common_kernel_the_signed_one_first() {
        assert_eq!(first("6.1").unwrap(), "linux-image-6.1.0-57-amd64");
        assert_eq!(first("6.12").unwrap(), "linux-image-6.12.117+deb12-amd64");
        assert_eq!(first("6.12.99").unwrap(), "linux-image-6.12.99+deb12-amd64-unsigned");
        assert_eq!(first("6.18"), None);
    }

    #[test]
    fn other_kernels_are_meant_by_their_whole_release() {
        assert_eq!(first("6.1.0-57-rt-amd64").unwrap(), "linux-image-6.1.0-57-rt-amd64");
        assert_eq!(first("6.1.0-9-amd64").unwrap(), "linux-image-6.1.0-9-amd64");
    }

    #[test]
    fn packages_without_a_kernel_of_their_own_are_passed_over() {
        for name in ["linux-image-amd64", "linux-image-6.12-amd64", "linux-image-6.12.117+deb12-amd64-dbg", "bash"] {
            assert_eq!(Package::named(name), None, "{name}");
        }
    }

    #[test]
    fn the_series_of_a_release_are_its_first_two_numbers() {
        assert_eq!((series("6.1.0-57-amd64"), series("6.12.117+deb12-amd64")), ("6.1".into(), "6.12".into()));
    }
}
