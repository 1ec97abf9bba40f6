// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
public import SystemPackage
public import VMRunner

/// A kernel that a provider has.
public struct KernelOffer: Sendable, Equatable {
    /// A file to be fetched.
    public struct File: Sendable, Equatable, Codable {
        /// What it is called there: a package's name, or a file's.
        public var name: String
        /// Where it is, as the provider knows it: a path under the archive's site, a URL, a path.
        public var place: String
        /// In hexadecimal; what is fetched over a network always has one.
        public var sha256: String?
        /// Bytes; nil where it is not known.
        public var size: Int?

        public init(name: String, place: String, sha256: String? = nil, size: Int? = nil) {
            self.name = name
            self.place = place
            self.sha256 = sha256
            self.size = size
        }
    }

    /// Whose it is: `debian`, or the name of a source of the user's own.
    public var provider: String
    /// As `uname -r` says, or will: what names it exactly.
    public var release: String
    /// Mainline's.
    public var version: KernelVersion
    /// nil where it is not Debian's.
    public var flavour: KernelFlavour?
    /// The version of its package, such as `6.1.192-2`; else empty.
    public var packageVersion = ""
    /// The suite or place that it was found in.
    public var origin: String
    public var files: [File]
    /// Packages that belong to it and are not on offer any more.
    public var missing: [String] = []

    /// Tells a file that was replaced by another of the same name; empty where checksums do.
    var stamp = ""

    /// Names it for a person.
    public var title: String {
        guard let first = files.first else { return release }
        return packageVersion.isEmpty ? first.name : "\(first.name) \(packageVersion)"
    }

    /// Bytes to fetch; nil where they are not known.
    public var size: Int? {
        let sizes = files.compactMap(\.size)
        return sizes.count == files.count ? sizes.reduce(0, +) : nil
    }

    /// The folder of its entry in the cache.
    var entryName: String {
        // A folder's path may be longer than a name can be.
        let source = provider.contains("/") ? "dir-" + String(XXH64.hash(Array(provider.utf8)), radix: 16) : provider
        let own = provider == DebianArchive.providerName ? "" : "\(source)-"
        let checksum = files.first?.sha256?.prefix(12) ?? ""
        let suffix = (packageVersion.isEmpty ? String(checksum) : packageVersion) + stamp
        return (own + (suffix.isEmpty ? release : "\(release)_\(suffix)")).replacing("/", with: "_")
    }

    /// Newest first: by mainline's version; of the same version the older distribution's build, which has been there
    /// for longer and stays the choice when the next distribution catches up; then by counters in release and package.
    static func isNewer(_ left: KernelOffer, _ right: KernelOffer) -> Bool {
        if left.version != right.version { return left.version > right.version }
        if left.flavour != right.flavour { return (left.flavour ?? .cloud) < (right.flavour ?? .cloud) }
        let (first, second) = (distribution(left.release), distribution(right.release))
        if first != second { return first < second }
        let names = left.release.compare(right.release, options: .numeric)
        if names != .orderedSame { return names == .orderedDescending }
        return left.packageVersion.compare(right.packageVersion, options: .numeric) == .orderedDescending
    }

    /// 12 for `6.12.117+deb12-cloud-amd64`; 0 where the release names none.
    private static func distribution(_ release: String) -> Int {
        guard let mark = release.firstRange(of: "+deb") else { return 0 }
        return Int(release[mark.upperBound...].prefix { $0.isNumber }) ?? 0
    }
}

/// Kernels as a provider gives them.
public enum KernelFiles: Sendable {
    /// Packages or archives, whole and verified, to be unpacked into the cache.
    case archives([FilePath])
    /// A kernel that can stay where it is: the folder, and the kernel file in it.
    case inPlace(FilePath, image: String)
}

/// Where kernels come from.
public protocol KernelProvider: Sendable {
    /// What offers are marked with.
    var name: String { get }
    /// Whether looking is cheap and needs no network: such providers are asked before the cache is.
    var isLocal: Bool { get }

    /// All that can be had.
    ///
    /// - Parameter age: what was looked up longer ago is looked up again.
    func offers(notOlderThan age: Duration) async throws(HarnessError) -> [KernelOffer]

    /// Gets a kernel's files.
    ///
    /// - Parameter folder: for this kernel alone; what an interrupted fetch left there is used or replaced.
    func fetch(_ offer: KernelOffer, into folder: FilePath) async throws(HarnessError) -> KernelFiles
}
