// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage

/// Where the host gets Debian's packages from.
struct DebianSites: Sendable, Equatable {
    var main: String?
    var security: String?
    /// Debian's suites that the sources name.
    var suites: [String] = []

    static let hint =
        "kernels by version come from Debian's archive; BPFTEST_DEBIAN_MIRROR=http://MIRROR/debian names one "
        + "(its security suites are looked for under http://MIRROR/debian-security)"

    /// Asks the host's apt, which knows both forms of source files.
    static func ofHost(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws(HarnessError) -> DebianSites {
        if let mirror = environment["BPFTEST_DEBIAN_MIRROR"], !mirror.isEmpty {
            return DebianSites(main: mirror, security: mirror + "-security")
        }
        let text = try await Tool.require(
            "apt-get", ["indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
            package: "apt", to: "read the system's package sources")
        let sites = DebianSites(targets: text)
        guard sites.main != nil || sites.security != nil else {
            throw .infrastructure("the system's package sources name no Debian site: \(hint)")
        }
        return sites
    }

    /// Reads lines of site, suite and component. Third parties' suites have other names than Debian's.
    init(targets text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3, words[2] == "main" else { continue }
            let name = words[1].split(separator: "-").first.map(String.init) ?? ""
            guard Self.releases.contains(name) else { continue }
            // Under its codename a suite is known already, or it is one that may have kernels of its own.
            if Self.codenames.contains(name), !suites.contains(words[1]) { suites.append(words[1]) }
            if words[1].hasSuffix("-security") || words[1].hasSuffix("/updates") {
                security = security ?? words[0]
            } else {
                main = main ?? words[0]
            }
        }
    }

    init(main: String?, security: String?) {
        self.main = main
        self.security = security
    }

    private static let codenames: Set<String> = ["bullseye", "bookworm", "trixie", "forky", "duke", "sid"]
    private static let releases = codenames.union(["oldoldstable", "oldstable", "stable", "testing", "unstable"])

    /// The keys of Debian's archive.
    static func keyring() throws(HarnessError) -> String {
        let candidates = ["gpg", "pgp"].map { "/usr/share/keyrings/debian-archive-keyring.\($0)" }
        guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw .infrastructure(
                "\(candidates[0]) is missing: packages cannot be verified without it (apt-get install "
                    + "debian-archive-keyring)")
        }
        return found
    }
}
