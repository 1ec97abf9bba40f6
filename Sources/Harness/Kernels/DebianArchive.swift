// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import SystemPackage
internal import VMRunner

/// Debian's package archive, read with the host's apt but with a root of our own.
///
/// Package lists, downloads and the (empty) list of installed packages are in the cache folder, so the system's are
/// not touched and no privilege is needed. Addresses come from the host's own sources and the signatures are apt's
/// business: a list or package that does not verify is an error of apt-get.
struct DebianArchive: Sendable {
    /// A kernel package, as the package lists describe it.
    struct Package: Sendable, Equatable {
        var name: String
        /// Debian's, such as `6.1.192-2`.
        var version: String
        var sha256: String

        /// `6.1.0-56-cloud-amd64`.
        var release: String {
            var text = Substring(name)
            for prefix in ["linux-image-", "linux-binary-"] where text.hasPrefix(prefix) {
                text = text.dropFirst(prefix.count)
            }
            return String(text.hasSuffix("-unsigned") ? text.dropLast("-unsigned".count) : text)
        }

        /// Mainline's: 6.1.192 for 6.1.192-2; `7.3~rc7-1~exp1` is 7.3-rc7.
        var kernelVersion: KernelVersion? {
            KernelVersion(version.replacing("~rc", with: "-rc"))
        }
    }

    /// A suite, and what kernels it is good for.
    struct Suite: Sendable, Equatable {
        var name: String
        /// Security suites are on a site of their own.
        var isSecurity: Bool { name.hasSuffix("-security") }
    }

    /// Which suites have which kernels; the newest come through the backports of the current release.
    static func suites(for request: KernelRequest) -> [Suite] {
        let names =
            switch (request.major, request.minor) {
            case _ where request.candidate != .none: ["experimental"]
            case (5, 10): ["bullseye", "bullseye-security"]
            case (6, 1): ["bookworm", "bookworm-security"]
            case (6, 12): ["bookworm", "bookworm-security"]
            default: ["trixie-backports"]
            }
        return names.map(Suite.init)
    }

    /// What can be asked for without a look at the archive, for messages.
    static let usual = ["5.10", "6.1", "6.12"]

    private let root: FilePath
    private let suites: [Suite]

    /// Reads the lists of some suites.
    init(folders: Folders, suites: [Suite]) async throws(HarnessError) {
        // A root for each set of suites: apt drops the lists of suites that are not in its sources.
        root = folders.apt.appending(suites.map(\.name).joined(separator: "+"))
        self.suites = suites
        for folder in ["lists/partial", "cache/archives/partial", "download"] {
            try Folders.make(root.appending(folder))
        }
        let sites = try await DebianSites.ofHost()
        try write("sources.list", try sources(sites))
        try write("status", "")
        try write("apt.conf", configuration)
        _ = try await apt("apt-get", ["update"], to: "read the package lists of \(names)")
    }

    var names: String { suites.map(\.name).joined(separator: ", ") }

    private func sources(_ sites: DebianSites) throws(HarnessError) -> String {
        var lines: [String] = []
        for suite in suites {
            guard let site = suite.isSecurity ? sites.security : sites.main else {
                throw .infrastructure(
                    "the system's package sources name no site for \(suite.name): \(DebianSites.hint)")
            }
            lines.append("deb [signed-by=\(try DebianSites.keyring())] \(site) \(suite.name) main")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Read after the system's own settings, so that a proxy set there holds here too.
    private var configuration: String {
        var lines = [
            "Dir::Etc::SourceList \"\(root)/sources.list\";",
            "Dir::Etc::SourceParts \"/dev/null\";",
            "Dir::Etc::Preferences \"/dev/null\";",
            "Dir::Etc::PreferencesParts \"/dev/null\";",
            "Dir::State \"\(root)\";",
            "Dir::State::lists \"\(root)/lists\";",
            "Dir::State::status \"\(root)/status\";",
            "Dir::Cache \"\(root)/cache\";",
            "Dir::Cache::archives \"\(root)/cache/archives\";",
            "Dir::Log \"\(root)\";",
            "APT::Architecture \"amd64\";",
            "#clear APT::Architectures;",
            "APT::Architectures { \"amd64\"; };",
            // Hooks of the system (container images empty /var/cache/apt in them) are not for a root of our own.
            "#clear APT::Update::Pre-Invoke;",
            "#clear APT::Update::Post-Invoke;",
            "#clear APT::Update::Post-Invoke-Success;",
            // A list that cannot be had is an error, not a warning.
            "APT::Update::Error-Mode \"any\";",
            "Acquire::Languages \"none\";",
            "Acquire::Retries \"3\";",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";",
        ]
        // root's home is closed to the user that apt would change to.
        if geteuid() == 0 { lines.append("APT::Sandbox::User \"root\";") }
        return lines.joined(separator: "\n") + "\n"
    }

    private func write(_ name: String, _ text: String) throws(HarnessError) {
        let path = root.appending(name).string
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw .infrastructure("\(path) cannot be written: \(Folders.reason(error))")
        }
    }

    private func apt(
        _ program: String, _ arguments: [String], to purpose: String
    ) async throws(HarnessError) -> String {
        try await Tool.require(
            program, ["-c", root.appending("apt.conf").string, "-q"] + arguments, package: "apt", to: purpose)
    }

    /// The kernels of the cloud flavour, newest first: the flavour for virtual machines, a quarter of the generic size.
    func kernels() async throws(HarnessError) -> [Package] {
        let pattern = "^linux-(image|binary)-[0-9].*-cloud-amd64(-unsigned)?$"
        let found = try await apt(
            "apt-cache", ["search", "--names-only", pattern], to: "search the package lists of \(names)")
        let packages = found.split(whereSeparator: \.isNewline).compactMap { $0.split(separator: " ").first }
        if packages.isEmpty { return [] }
        let text = try await apt(
            "apt-cache", ["show", "--no-all-versions"] + packages.map(String.init),
            to: "read the package lists of \(names)")
        return Self.parse(text)
    }

    /// Reads what `apt-cache show` prints: signed packages win over the same kernel unsigned.
    static func parse(_ text: String) -> [Package] {
        var packages: [Package] = []
        for fields in stanzas(text) {
            guard let name = fields["Package"], let version = fields["Version"], let sum = fields["SHA256"] else {
                continue
            }
            packages.append(Package(name: name, version: version, sha256: sum))
        }
        let signed = Set(packages.filter { !$0.name.hasSuffix("-unsigned") }.map(\.release))
        packages.removeAll { $0.name.hasSuffix("-unsigned") && signed.contains($0.release) }
        return packages.filter { $0.kernelVersion != nil }.sorted(by: isNewer)
    }

    /// Control-file paragraphs, without continuation lines.
    private static func stanzas(_ text: String) -> [[String: String]] {
        var result: [[String: String]] = []
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !fields.isEmpty { result.append(fields) }
                fields = [:]
            } else if !line.hasPrefix(" "), let colon = line.firstIndex(of: ":") {
                fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmingPrefix(" ").description
            }
        }
        if !fields.isEmpty { result.append(fields) }
        return result
    }

    /// By mainline's version, then by Debian's counters in release and package version.
    private static func isNewer(_ left: Package, _ right: Package) -> Bool {
        if let first = left.kernelVersion, let second = right.kernelVersion, first != second { return first > second }
        let names = left.release.compare(right.release, options: .numeric)
        if names != .orderedSame { return names == .orderedDescending }
        return left.version.compare(right.version, options: .numeric) == .orderedDescending
    }

    /// Fetches a kernel's packages.
    ///
    /// - Returns: the .deb files, in a folder that the next download uses again.
    func download(_ package: Package) async throws(HarnessError) -> [FilePath] {
        let folder = root.appending("download")
        try empty(folder)
        let wanted = Self.parts(of: package).map { "\($0)=\(package.version)" }
        // "download" writes into the working directory.
        _ = try await Tool.require(
            "sh",
            [
                "-c", "cd \"$1\" && shift && exec apt-get -c \"$@\"", "sh", folder.string,
                root.appending("apt.conf").string, "-q", "download",
            ] + wanted, package: "apt", to: "download \(wanted.joined(separator: " "))")
        do {
            let files = try FileManager.default.contentsOfDirectory(atPath: folder.string).filter {
                $0.hasSuffix(".deb")
            }
            return files.sorted().map { folder.appending($0) }
        } catch {
            throw .infrastructure("\(folder) cannot be read: \(Folders.reason(error))")
        }
    }

    /// From 7.2 on Debian puts image, modules and config in packages of their own.
    static func parts(of package: Package) -> [String] {
        guard package.name.hasPrefix("linux-binary-") else { return [package.name] }
        return [package.name, "linux-modules-\(package.release)", "linux-base-\(package.release)"]
    }

    /// Frees the space of the downloads.
    func removeDownloads() throws(HarnessError) {
        try empty(root.appending("download"))
    }

    private func empty(_ folder: FilePath) throws(HarnessError) {
        do {
            for name in try FileManager.default.contentsOfDirectory(atPath: folder.string) {
                try FileManager.default.removeItem(atPath: folder.appending(name).string)
            }
        } catch {
            throw .infrastructure("\(folder) cannot be emptied: \(Folders.reason(error))")
        }
    }
}
