// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

extension KernelStore {
    /// What is looked up for a run may be that old: kernels do not change under the user's feet.
    private static let restful = Duration.seconds(24 * 3600)
    /// Whoever fetches wants news, but not the same twice.
    private static let eager = Duration.seconds(600)

    // MARK: Choosing

    /// From the cache where it has one: a kernel does not change under the user's feet; `kernels fetch` renews it.
    func version(_ request: KernelRequest) async throws(HarnessError) -> CachedKernel {
        try Self.refuseSeveral(request)
        if let offer = Self.choice(request, try await localOffers()) { return try await obtain(offer) }
        if request.kind != .latest {
            if let entry = cached(request) { return entry }
            return try await fetch(request)
        }
        do throws(HarnessError) {
            return try await fetch(request, notOlderThan: Self.restful)
        } catch .infrastructure(let reason) {
            guard let entry = cached(request) else { throw .infrastructure(reason) }
            note("\(reason); the newest in the cache is used: \(entry.release)")
            return entry
        } catch {
            throw error
        }
    }

    /// The newest kernel of Debian's in the cache that fits; what was built here is asked for by its name.
    func cached(_ request: KernelRequest) -> CachedKernel? {
        let fitting = cachedKernels().filter { entry in
            guard entry.source == .debian, let version = KernelVersion(entry.version) else { return false }
            return request.matches(release: entry.release, version, KernelFlavour(release: entry.release))
        }
        // One without its modules was fetched by its release, and stands for nothing else.
        return fitting.first { !$0.isPartial || request.isExact }
    }

    /// Fetches the newest kernel that fits, unless the cache has that very one.
    public func fetch(_ request: KernelRequest) async throws(HarnessError) -> CachedKernel {
        try Self.refuseSeveral(request)
        return try await fetch(request, notOlderThan: Self.eager)
    }

    private func fetch(
        _ request: KernelRequest, notOlderThan age: Duration
    ) async throws(HarnessError) -> CachedKernel {
        if let offer = Self.choice(request, try await localOffers()) { return try await obtain(offer) }
        let offers = try await remoteOffers(for: request, notOlderThan: age)
        if let offer = Self.choice(request, offers) { return try await obtain(offer) }
        throw .usage(Self.absence(of: request, offers) + listed(cachedKernels()))
    }

    private static func refuseSeveral(_ request: KernelRequest) throws(HarnessError) {
        if request.isSeveral { throw .usage("'\(request)' is several kernels: here one is wanted") }
    }

    /// The newest that fits and is whole; one that has lost its modules only by its release.
    static func choice(_ request: KernelRequest, _ offers: [KernelOffer]) -> KernelOffer? {
        let fitting = offers.filter(request.matches)
        return fitting.first { $0.missing.isEmpty } ?? (request.isExact ? fitting.first : nil)
    }

    /// Why there is none, and what there is instead.
    static func absence(of request: KernelRequest, _ offers: [KernelOffer]) -> String {
        if let partial = offers.first(where: request.matches) {
            return "kernel \(request) is not whole any more: the archive has \(partial.title), but no "
                + "\(partial.missing.joined(separator: " and no ")); without its modules it can be had by its release, "
                + partial.release
        }
        let flavour = request.flavour ?? .cloud
        let whole = offers.filter { $0.missing.isEmpty && $0.flavour ?? flavour == flavour }
        let near = whole.filter { request.isNear($0.version) }
        let there =
            near.isEmpty
            ? Set(whole.map { KernelSeries($0.version) }).sorted().map(\.description)
            : near.reversed().map(\.version.description)
        var seen: Set<String> = []
        let list = there.filter { seen.insert($0).inserted }.joined(separator: ", ")
        return "there is no kernel \(request); on offer are " + (list.isEmpty ? "none of flavour \(flavour)" : list)
            + " (bpftest kernels list --remote)"
    }

    // MARK: Several

    /// Puts the kernels that are meant in the place of `all` and `all:generic`: one of each series, oldest first, and
    /// none that is named besides.
    ///
    /// - Returns: words for `resolve`.
    public func expand(_ specs: [String]) async throws(HarnessError) -> [String] {
        var expanded: [String] = []
        for spec in specs {
            guard let request = KernelRequest(spec), request.isSeveral else {
                expanded.append(spec)
                continue
            }
            for series in try await series(request) {
                let one = series.description + (request.flavour.map { ":\($0)" } ?? "")
                if !specs.contains(one), !expanded.contains(one) { expanded.append(one) }
            }
        }
        return expanded
    }

    private func series(_ request: KernelRequest) async throws(HarnessError) -> [KernelSeries] {
        var versions = try await localOffers().filter(request.matches).map(\.version)
        do throws(HarnessError) {
            let offers = try await remoteOffers(for: request, notOlderThan: Self.restful)
            versions += offers.filter { request.matches($0) && $0.missing.isEmpty }.map(\.version)
        } catch .infrastructure(let reason) {
            // Below.
            note("\(reason); '\(request)' is what the cache has")
        } catch {
            throw error
        }
        versions += cachedKernels().filter { entry in
            entry.source == .debian && !entry.isPartial
                && request.matches(
                    release: entry.release, KernelVersion(entry.version) ?? KernelVersion(0, 0),
                    KernelFlavour(release: entry.release))
        }.compactMap { KernelVersion($0.version) }
        if versions.isEmpty { throw .usage("there is no kernel for '\(request)'" + listed(cachedKernels())) }
        return Set(versions.map(KernelSeries.init)).sorted()
    }

    // MARK: Looking

    /// A kernel that can be had.
    public struct Listing: Sendable, Equatable {
        public var offer: KernelOffer
        /// The entry, where the cache has it; a kernel that stays where it is has none.
        public var cached: CachedKernel?
    }

    /// All that can be had, newest first.
    ///
    /// - Parameters:
    ///   - requests: what is wanted of it; nothing: everything.
    ///   - refreshes: looked up at this moment.
    public func offers(
        matching requests: [KernelRequest] = [], refreshes: Bool = false
    ) async throws(HarnessError) -> [Listing] {
        var offers = try await localOffers()
        if sources.usesDebian {
            offers += try await archive.offers(notOlderThan: refreshes ? .zero : Self.eager)
        }
        return offers.filter { offer in
            requests.isEmpty || requests.contains { $0.matches(offer) }
        }.map { offer in
            Listing(offer: offer, cached: CachedKernel(folder: folders.kernels.appending(offer.entryName)))
        }
    }

    /// Of the user's own sources, newest first.
    func localOffers() async throws(HarnessError) -> [KernelOffer] {
        var offers: [KernelOffer] = []
        for provider in providers where provider.isLocal { offers += try await provider.offers(notOlderThan: .zero) }
        return offers.sorted(by: KernelOffer.isNewer)
    }

    private func remoteOffers(
        for request: KernelRequest, notOlderThan age: Duration
    ) async throws(HarnessError) -> [KernelOffer] {
        guard sources.usesDebian else { return [] }
        do throws(HarnessError) {
            return try await archive.offers(notOlderThan: age)
        } catch .infrastructure(let reason) {
            throw .infrastructure(
                "kernel \(request) is not in the cache and cannot be fetched: \(reason)" + listed(cachedKernels()))
        } catch {
            throw error
        }
    }

    // MARK: Getting

    /// The kernel of an offer: from the cache, else fetched into it.
    ///
    /// Downloads of different kernels go side by side. What has been downloaded is kept when it is interrupted.
    public func obtain(_ offer: KernelOffer) async throws(HarnessError) -> CachedKernel {
        guard let provider = providers.first(where: { $0.name == offer.provider }) else {
            throw .infrastructure("nothing is known of the kernel source \(offer.provider)")
        }
        let folder = folders.kernels.appending(offer.entryName)
        if let entry = CachedKernel(folder: folder) { return entry }
        let downloads = folders.downloads.appending(offer.entryName)
        try Folders.make(downloads)
        let lock = try await FileLock.take(downloads.appending(".lock")) {
            note("waiting for another bpftest that fetches \(offer.release)")
        }
        if let entry = CachedKernel(folder: folder) { return entry }
        // Who had the lock may have removed it all.
        try Folders.make(downloads)
        if !offer.missing.isEmpty {
            note("\(offer.release) comes without \(offer.missing.joined(separator: ", ")): no longer in the archive")
        }
        let entry: CachedKernel
        switch try await files(of: offer, provider, downloads) {
        case .inPlace(let root, let image):
            entry = CachedKernel(inPlace: root, image: image, release: offer.release, version: offer.version)
        case .archives(let files):
            entry = try await locked { () async throws(HarnessError) in
                try await unpack(files, as: folder) { (image, release) in
                    var entry = CachedKernel(
                        source: offer.provider == DebianArchive.providerName ? .debian : .own, release: release,
                        version: offer.version.description, origin: offer.title, image: image)
                    entry.sha256 = offer.files.compactMap(\.sha256)
                    entry.missing = offer.missing.isEmpty ? nil : offer.missing
                    return entry
                }
            }
        }
        try Self.remove(downloads)
        lock.release()
        return entry
    }

    private func files(
        of offer: KernelOffer, _ provider: any KernelProvider, _ downloads: FilePath
    ) async throws(HarnessError) -> KernelFiles {
        if !provider.isLocal || offer.files.contains(where: { $0.sha256 != nil }) {
            note("fetching \(offer.title)" + (offer.size.map { " (\($0 >> 20) MiB)" } ?? ""))
        }
        return try await provider.fetch(offer, into: downloads)
    }
}

extension KernelRequest {
    /// A kernel by its release.
    var isExact: Bool { if case .release = kind { true } else { false } }

    /// Whether an offer is what was asked for. The user's own builds are of no flavour unless one is named.
    func matches(_ offer: KernelOffer) -> Bool {
        if offer.provider != DebianArchive.providerName, flavour == nil {
            return matches(release: offer.release, offer.version, nil)
        }
        return matches(release: offer.release, offer.version, offer.flavour)
    }

    /// Of the series that was asked for, though not the very kernel.
    func isNear(_ version: KernelVersion) -> Bool {
        guard case .version(let major, let minor, _, _) = kind else { return false }
        return version.major == major && version.minor == minor
    }
}
