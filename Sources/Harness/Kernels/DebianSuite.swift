// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import SystemPackage
internal import VMRunner

/// A suite of Debian's archive, read with the host's apt but with a root of our own.
///
/// Package lists and the (empty) list of installed packages are in the cache folder, so the system's are not touched
/// and no privilege is needed. The signatures are apt's business: a list that does not verify is an error of apt-get.
struct DebianSuite: Sendable {
    let name: String
    /// Of this suite alone: apt drops the lists of suites that are not in its sources.
    private let root: FilePath

    /// What is known of the suite, in `kernels.json`: made from the lists that apt has verified.
    struct Index: Codable, Sendable {
        var format = 2
        var updated: Date
        /// The mirror does not have this suite.
        var isAbsent = false
        var offers: [Entry] = []

        struct Entry: Codable, Sendable {
            var release: String
            var version: String
            var package: String
            var files: [KernelOffer.File]
            var missing: [String]
        }
    }

    init(_ name: String, folders: Folders) {
        self.name = name
        root = folders.apt.appending(name)
    }

    /// Security suites are on a site of their own.
    var isSecurity: Bool { name.hasSuffix("-security") }

    // MARK: What is known

    /// What was read last; nil where nothing has been, or by another version of bpftest.
    var index: Index? {
        guard let data = FileManager.default.contents(atPath: root.appending("kernels.json").string),
            // Half a file cannot be: it is replaced as a whole. Another form is read anew.
            let index = try? JSONDecoder().decode(Index.self, from: data), index.format == Index(updated: .now).format
        else { return nil }
        return index
    }

    func offers(_ index: Index) -> [KernelOffer] {
        index.offers.compactMap { entry in
            KernelVersion(entry.version).map { version in
                KernelOffer(
                    provider: DebianArchive.providerName, release: entry.release, version: version,
                    flavour: KernelFlavour(release: entry.release), packageVersion: entry.package, origin: name,
                    files: entry.files, missing: entry.missing)
            }
        }
    }

    // MARK: Reading

    /// Reads the suite's lists anew, unless another process has done so meanwhile.
    ///
    /// - Parameter site: where the suite is.
    func update(site: String, notOlderThan limit: Date, onWait: () -> Void) async throws(HarnessError) -> Index {
        try prepare()
        let lock = try await FileLock.take(root.appending(".lock"), onWait: onWait)
        if let index, index.updated >= limit { return index }
        let line = "deb [signed-by=\(try DebianSites.keyring())] \(site) \(name) main\n"
        try write("sources.list", line)
        let purpose = "read the package lists of \(name)"
        var new = Index(updated: .now)
        let answer = try await Tool.run(
            "apt-get", ["-c", configurationFile, "-q", "-o", "Acquire::Retries=1", "update"], package: "apt")
        if answer.succeeded {
            let packages = DebianPackages(parsing: try await kernelParagraphs(to: purpose))
            new.offers = packages.offers(suite: name).map {
                Index.Entry(
                    release: $0.release, version: $0.version.description, package: $0.packageVersion, files: $0.files,
                    missing: $0.missing)
            }
        } else if Self.isAbsence(answer.error) {
            new.isAbsent = true
        } else {
            throw .infrastructure("cannot \(purpose): \(answer.complaint)")
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            try write("kernels.json", String(decoding: try encoder.encode(new), as: UTF8.self))
        } catch let error as HarnessError {
            throw error
        } catch {
            throw .infrastructure("\(root)/kernels.json cannot be written: \(error)")
        }
        lock.release()
        return new
    }

    /// Whether apt says that the server answers but has no such suite, and of nothing else.
    static func isAbsence(_ complaint: String) -> Bool {
        let errors = complaint.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("E:") }
        let words = ["does not have a Release file", "no longer has a Release file"]
        return !errors.isEmpty && errors.allSatisfy { error in words.contains { error.contains($0) } }
            && !complaint.contains("Could not") && !complaint.contains("Temporary failure")
    }

    /// The paragraphs of kernel packages in the verified lists, which are too long to be taken in whole.
    private func kernelParagraphs(to purpose: String) async throws(HarnessError) -> String {
        let folder = root.appending("lists")
        let files: [String]
        do {
            files = try FileManager.default.contentsOfDirectory(atPath: folder.string).filter {
                $0.contains("_binary-amd64_Packages")
            }.map { folder.appending($0).string }
        } catch {
            throw .infrastructure("cannot \(purpose): \(folder): \(Folders.reason(error))")
        }
        // A suite without packages (a security suite before its first update) has no lists.
        if files.isEmpty { return "" }
        // The pipeline's status is awk's; the last paragraph tells that the lists were read to their end.
        let script = """
            conf=$1; shift
            { /usr/lib/apt/apt-helper -c "$conf" cat-file "$@" && printf '\\n\\nX-End: yes\\n'; } |
            awk 'BEGIN { RS = ""; ORS = "\\n\\n" }
                /^(Package: linux-(image|binary|modules|base)-[0-9][^ \\n]*-amd64(-unsigned)?\\n|X-End:)/'
            """
        let text = try await Tool.require(
            "sh", ["-c", script, "sh", configurationFile] + files, package: "apt", to: purpose)
        guard text.contains("X-End: yes") else {
            throw .infrastructure("cannot \(purpose): apt-helper did not read \(files.joined(separator: ", "))")
        }
        return text
    }

    // MARK: Fetching

    /// Fetches a file of the archive, verified against the signed lists; an interrupted one is resumed.
    ///
    /// A bpftest that is killed leaves its apt-helper running: the next one waits for it at the lock of the file.
    func fetch(_ file: KernelOffer.File, site: String, to path: FilePath) async throws(HarnessError) {
        guard let sum = file.sha256 else { throw .infrastructure("\(file.name) has no checksum in \(name)") }
        try prepare()
        let script = """
            exec 9>>"$2.lock" && flock 9 || exit 1
            if [ -f "$2" ] && printf '%s  %s\\n' "$3" "$2" | sha256sum --check --status; then exit 0; fi
            exec /usr/lib/apt/apt-helper -c "$1" -q download-file "$4" "$2" "SHA256:$3"
            """
        let url = site.hasSuffix("/") ? site + file.place : "\(site)/\(file.place)"
        let answer = try await Tool.run(
            "sh", ["-c", script, "sh", configurationFile, path.string, sum, url], package: "apt")
        if answer.succeeded { return }
        if Task.isCancelled { throw .cancelled }
        // apt keeps what it rejects under this name.
        try? FileManager.default.removeItem(atPath: path.string + ".FAILED")
        let text = answer.error + answer.output
        if text.contains("Hash Sum mismatch") {
            throw .infrastructure(
                "\(file.name) is not what the signed package list of \(name) says: its checksum differs; it is not "
                    + "used (\(url))")
        }
        if text.contains("404  Not Found") {
            throw .infrastructure(
                "\(file.name) is in the package list of \(name) but not at \(url) any more; a newer list may have a "
                    + "newer one: bpftest kernels list --remote --refresh")
        }
        if text.contains("No space left") || text.contains("ENOSPC") {
            throw .infrastructure("\(file.name) cannot be stored: no space left for \(path)")
        }
        throw .infrastructure("cannot download \(file.name): \(answer.complaint)")
    }

    // MARK: apt's root

    private var configurationFile: String { root.appending("apt.conf").string }

    private func prepare() throws(HarnessError) {
        for folder in ["lists/partial", "cache/archives/partial"] { try Folders.make(root.appending(folder)) }
        try write("status", "")
        try write("apt.conf", configuration)
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
            // A suite changes its label when a release is made.
            "Acquire::AllowReleaseInfoChange::Suite \"true\";",
            "Acquire::AllowReleaseInfoChange::Version \"true\";",
            "Acquire::AllowReleaseInfoChange::Label \"true\";",
            "Acquire::Languages \"none\";",
            "Acquire::Retries \"3\";",
            "Acquire::GzipIndexes \"true\";",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";",
            // The lists are read as they are: seconds and a hundred megabytes less than apt's own cache of them.
            "pkgCacheFile::Generate \"false\";",
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
}
