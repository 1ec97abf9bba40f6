// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

/// Debian's package archive: the suites that have kernels, and which.
///
/// Which suite has which version is not written down anywhere here: the lists are read. Addresses come from the host's
/// own sources.
struct DebianArchive: KernelProvider {
    static let providerName = "debian"

    let name = DebianArchive.providerName
    let isLocal = false
    private let folders: Folders
    private let environment: [String: String]
    private let note: @Sendable (String) -> Void

    init(
        folders: Folders, environment: [String: String] = ProcessInfo.processInfo.environment,
        note: @escaping @Sendable (String) -> Void
    ) {
        self.folders = folders
        self.environment = environment
        self.note = note
    }

    /// The suites that are looked into, besides those that the host's own sources name.
    ///
    /// Of a Debian release the updates and backports as well; the versions before their release are in experimental.
    static let usualSuites =
        ["bullseye", "bookworm", "trixie"].flatMap { [$0, "\($0)-security", "\($0)-backports"] } + ["experimental"]

    // MARK: Looking

    func offers(notOlderThan age: Duration) async throws(HarnessError) -> [KernelOffer] {
        let limit = Date.now.addingTimeInterval(-Double(age.components.seconds))
        let known = suitesReadBefore()
        let fresh = known.filter { ($0.index?.updated ?? .distantPast) >= limit }.map(\.name)
        if Set(Self.usualSuites).isSubset(of: fresh) {
            return Self.merge(known.flatMap { suite in suite.index.map(suite.offers) ?? [] })
        }
        note("looking for kernels in Debian's archive")
        let sites: DebianSites
        do throws(HarnessError) {
            sites = try await DebianSites.ofHost(environment: environment)
        } catch {
            return try fallBack(known, error)
        }
        let names = Self.usualSuites + sites.suites.filter { !Self.usualSuites.contains($0) }
        let suites = names.map { DebianSuite($0, folders: folders) }
        let answers = await read(suites, sites, limit)
        if Task.isCancelled { throw .cancelled }
        var offers: [KernelOffer] = []
        var failures: [HarnessError] = []
        for (suite, answer) in zip(suites, answers) {
            switch answer {
            case .success(let index): offers += suite.offers(index)
            case .failure(let error):
                failures.append(error)
                if let index = suite.index {
                    note("\(error); what it had on \(Self.day(index.updated)) is used")
                    offers += suite.offers(index)
                } else if answers.contains(where: Self.hasKernels) {
                    note("passed over: \(error)")
                }
            }
        }
        if let first = failures.first, offers.isEmpty { throw first }
        return Self.merge(offers)
    }

    private static func hasKernels(_ answer: Result<DebianSuite.Index, HarnessError>) -> Bool {
        if case .success(let index) = answer { !index.offers.isEmpty } else { false }
    }

    private func suitesReadBefore() -> [DebianSuite] {
        // No folder yet: nothing has been read.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folders.apt.string)) ?? []
        return names.sorted().map { DebianSuite($0, folders: folders) }.filter { $0.index != nil }
    }

    /// What was known once, where the host's sources cannot be read now.
    private func fallBack(_ suites: [DebianSuite], _ error: HarnessError) throws(HarnessError) -> [KernelOffer] {
        if case .cancelled = error { throw error }
        let offers = suites.flatMap { suite in suite.index.map(suite.offers) ?? [] }
        if offers.isEmpty { throw error }
        note("\(error); what was there when last looked is used")
        return Self.merge(offers)
    }

    /// All suites at a time: apt waits for the network most of it.
    private func read(
        _ suites: [DebianSuite], _ sites: DebianSites, _ limit: Date
    ) async -> [Result<DebianSuite.Index, HarnessError>] {
        await withTaskGroup(of: (Int, Result<DebianSuite.Index, HarnessError>).self) { group in
            for (number, suite) in suites.enumerated() {
                group.addTask {
                    do throws(HarnessError) {
                        if let index = suite.index, index.updated >= limit { return (number, .success(index)) }
                        guard let site = suite.isSecurity ? sites.security : sites.main else {
                            throw .infrastructure(
                                "the system's package sources name no site for \(suite.name): \(DebianSites.hint)")
                        }
                        let index = try await suite.update(site: site, notOlderThan: limit) {
                            note("waiting for another bpftest that reads \(suite.name)")
                        }
                        return (number, .success(index))
                    } catch {
                        return (number, .failure(error))
                    }
                }
            }
            var answers: [Result<DebianSuite.Index, HarnessError>] = Array(
                repeating: .failure(.cancelled), count: suites.count)
            for await (number, answer) in group { answers[number] = answer }
            return answers
        }
    }

    /// Newest first, each kernel once: a suite that has all of it comes before one that has lost a part.
    static func merge(_ offers: [KernelOffer]) -> [KernelOffer] {
        var seen: Set<String> = []
        let ordered = offers.filter { $0.missing.isEmpty } + offers.filter { !$0.missing.isEmpty }
        return ordered.filter { seen.insert("\($0.release) \($0.packageVersion)").inserted }
            .sorted(by: KernelOffer.isNewer)
    }

    private static func day(_ date: Date) -> String {
        date.formatted(.iso8601.year().month().day())
    }

    // MARK: Fetching

    func fetch(_ offer: KernelOffer, into folder: FilePath) async throws(HarnessError) -> KernelFiles {
        let sites = try await DebianSites.ofHost(environment: environment)
        let suite = DebianSuite(offer.origin, folders: folders)
        guard let site = suite.isSecurity ? sites.security : sites.main else {
            throw .infrastructure("the system's package sources name no site for \(suite.name): \(DebianSites.hint)")
        }
        var paths: [FilePath] = []
        for file in offer.files {
            let path = folder.appending("\(file.name).deb")
            try await suite.fetch(file, site: site, to: path)
            paths.append(path)
        }
        return .archives(paths)
    }
}
