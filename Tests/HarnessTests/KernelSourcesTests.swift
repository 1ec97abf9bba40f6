// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import SystemPackage
import Testing
import VMRunner

@testable import Harness

private let tools = ["/usr/bin/dpkg-deb", "/usr/bin/curl", "/usr/bin/sha256sum"]
private let hasTools = tools.allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }

/// The error of what must fail; nil where it does not.
func failure<Value>(of body: () async throws -> Value) async -> HarnessError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? HarnessError
    }
}

extension ScratchCache {
    /// A package with a kernel in it.
    func makePackage(_ release: String, package: String? = nil, version: String = "1") async throws -> FilePath {
        let root = "make-\(UUID().uuidString)"
        let name = package ?? "linux-image-\(release)"
        try write(
            "\(root)/DEBIAN/control",
            Data("Package: \(name)\nVersion: \(version)\nArchitecture: all\nMaintainer: n\n".utf8))
        try write("\(root)/boot/vmlinuz-\(release)", Self.bzImage(release))
        let file = folders.cache.appending("\(root).deb")
        _ = try await Tool.require(
            "dpkg-deb", ["--build", folders.cache.appending(root).string, file.string], package: "dpkg",
            to: "make a package")
        return file
    }

    func checksum(_ file: FilePath) async throws -> String {
        let text = try await Tool.require("sha256sum", [file.string], package: "coreutils", to: "sum")
        return String(text.prefix(64))
    }

    func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folders.cache.appending(name).string)
    }
}

/// A fetch into the cache, interrupted and not.
@Suite(.enabled(if: hasTools)) struct KernelFetchTests {
    private static let offer = DebianArchiveTests.offer("6.18.4+deb13-cloud-amd64", "6.18.4")
    private static let entry = "6.18.4+deb13-cloud-amd64_1"
    private let request: KernelRequest

    init() throws {
        request = try #require(KernelRequest("6.18"))
    }

    private func store(
        _ cache: ScratchCache,
        fetches: @escaping @Sendable (KernelOffer, FilePath) async throws(HarnessError) -> KernelFiles
    ) -> KernelStore {
        var archive = FakeArchive(offers: [Self.offer])
        archive.fetches = fetches
        return KernelStore(folders: cache.folders, sources: KernelSources(), archive: archive)
    }

    @Test func aFetchedKernelIsInTheCacheAndItsDownloadIsGone() async throws {
        let cache = try ScratchCache()
        let package = try await cache.makePackage("6.18.4+deb13-cloud-amd64")
        let count = Mutex(0)
        let store = store(cache) { (_, _) throws(HarnessError) in
            count.withLock { $0 += 1 }
            return .archives([package])
        }
        let build = try await store.resolve("6.18")
        #expect(build.release == "6.18.4+deb13-cloud-amd64")
        #expect(store.cachedKernels().map(\.folder.lastComponent?.string) == [Self.entry])
        #expect(!cache.exists("downloads/\(Self.entry)"))
        _ = try await store.fetch(request)
        #expect(count.withLock { $0 } == 1)
    }

    @Test func whatAnInterruptedFetchLeftIsThereForTheNext() async throws {
        let cache = try ScratchCache()
        let package = try await cache.makePackage("6.18.4+deb13-cloud-amd64")
        let interrupted = store(cache) { (_, folder) throws(HarnessError) in
            // As apt-helper leaves it when it is killed.
            _ = FileManager.default.createFile(atPath: folder.appending("x.deb").string, contents: Data("half".utf8))
            throw .cancelled
        }
        await #expect(throws: HarnessError.self) { try await interrupted.fetch(request) }
        #expect(interrupted.cachedKernels().isEmpty)
        let found = Mutex<Data?>(nil)
        let resumed = store(cache) { (_, folder) throws(HarnessError) in
            found.withLock { $0 = FileManager.default.contents(atPath: folder.appending("x.deb").string) }
            return .archives([package])
        }
        _ = try await resumed.fetch(request)
        #expect(found.withLock { $0 } == Data("half".utf8))
        #expect(resumed.cachedKernels().count == 1)
    }

    @Test func aPackageThatCannotBeUnpackedLeavesNoEntry() async throws {
        let cache = try ScratchCache()
        let whole = try await cache.makePackage("6.18.4+deb13-cloud-amd64")
        let data = try #require(FileManager.default.contents(atPath: whole.string))
        let half = try cache.write("half.deb", data.prefix(data.count / 2))
        let store = store(cache) { (_, _) throws(HarnessError) in .archives([half]) }
        guard let error = await failure(of: { try await store.fetch(request) }) else {
            Issue.record("it was taken")
            return
        }
        #expect("\(error)".contains("cannot unpack"))
        #expect(store.cachedKernels().isEmpty)
        let left = try FileManager.default.contentsOfDirectory(atPath: cache.folders.kernels.string)
        #expect(left == [".lock"])
    }

    /// Two at the same kernel: one fetches, the other one waits and finds it.
    @Test func twoAtOnceFetchOnce() async throws {
        let cache = try ScratchCache()
        let package = try await cache.makePackage("6.18.4+deb13-cloud-amd64")
        let (waits, waiting) = AsyncStream<Void>.makeStream()
        let count = Mutex(0)
        var archive = FakeArchive(offers: [Self.offer])
        archive.fetches = { (_, _) throws(HarnessError) in
            count.withLock { $0 += 1 }
            // Held until the other one says that it waits.
            for await _ in waits { break }
            return .archives([package])
        }
        let store = KernelStore(folders: cache.folders, sources: KernelSources(), archive: archive) { text in
            if text.contains("waiting for another bpftest that fetches") { waiting.yield() }
        }
        async let first = store.fetch(request)
        async let second = store.fetch(request)
        let releases = try await [first.release, second.release]
        #expect(Set(releases).count == 1)
        #expect(count.withLock { $0 } == 1)
    }

    @Test func pruneRemovesInterruptedDownloadsAndNoRunningOnes() async throws {
        let cache = try ScratchCache()
        try cache.write("downloads/old/x.deb", Data("half".utf8))
        try cache.write("downloads/running/x.deb", Data("half".utf8))
        let lock = try await FileLock.take(cache.folders.downloads.appending("running/.lock")) {}
        let removed = await prune(cache)
        lock.release()
        #expect(removed == ["\(cache.folders.downloads)/old"])
        #expect(!cache.exists("downloads/old"))
        #expect(cache.exists("downloads/running/x.deb"))
    }

    private func prune(_ cache: ScratchCache) async -> [String]? {
        let store = KernelStore(folders: cache.folders, sources: KernelSources(), archive: FakeArchive())
        // An error shows as no answer.
        return try? await store.prune(names: [], all: false)
    }

    @Test func pruneTellsFlavoursApart() async throws {
        let cache = try ScratchCache()
        try cache.addKernel("6.1.0-9-cloud-amd64", version: "6.1.27")
        try cache.addKernel("6.1.0-56-cloud-amd64", version: "6.1.192")
        try cache.addKernel("6.1.0-55-amd64", version: "6.1.187")
        try cache.addKernel("7.3-cloud-amd64", version: "7.3-rc7")
        try cache.addKernel("7.3.4+deb13-cloud-amd64", version: "7.3.4")
        let outdated = KernelStore.outdated(KernelStore(folders: cache.folders).cachedKernels())
        #expect(outdated.map(\.release) == ["6.1.0-9-cloud-amd64"])
    }
}

/// Builds at URLs of the user's own.
@Suite(.enabled(if: hasTools)) struct KernelTemplateTests {
    let cache: ScratchCache
    let package: FilePath
    let sum: String

    init() async throws {
        cache = try ScratchCache()
        let made = try await cache.makePackage("6.12.30-acme")
        sum = try await cache.checksum(made)
        package = cache.folders.cache.appending("builds/6.12.30-acme/linux-image.deb")
        try FileManager.default.createDirectory(
            atPath: package.removingLastComponent().string, withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: made.string, toPath: package.string)
    }

    private func store(_ sum: String? = nil, file: String = "linux-image.deb") -> KernelStore {
        let template = KernelTemplate(
            name: "acme", urls: ["file://\(cache.folders.cache)/builds/{version}/\(file)"],
            checksums: ["6.12.30-acme": [sum ?? self.sum]])
        return KernelStore(
            folders: cache.folders, sources: KernelSources(templates: [template]), archive: FakeArchive())
    }

    private var downloads: String { "downloads/acme-6.12.30-acme_\(sum.prefix(12))" }

    @Test(arguments: ["6.12", "6.12.30", "latest", "6.12.30-acme"])
    func itIsFetchedOnceAndComesBeforeDebians(_ spec: String) async throws {
        try cache.addKernel("6.12.117+deb12-cloud-amd64", version: "6.12.117")
        #expect(try await store().resolve(spec).release == "6.12.30-acme")
        try FileManager.default.removeItem(atPath: package.string)
        #expect(try await store().resolve(spec).release == "6.12.30-acme")
        #expect(try await store().resolve("6.12:cloud").release == "6.12.117+deb12-cloud-amd64")
        #expect(store().cachedKernels().filter { $0.source == .own }.map(\.sha256) == [[sum]])
    }

    @Test func aWrongChecksumKeepsItOut() async throws {
        let wrong = String(repeating: "0", count: 64)
        guard let error = await failure(of: { try await store(wrong).resolve("6.12") }) else {
            Issue.record("it was taken")
            return
        }
        #expect("\(error)".contains("its SHA-256 is \(sum), and not \(wrong)"), "\(error)")
        #expect(store().cachedKernels().isEmpty)
        // Nothing of it is used by the next: here, once the checksum is put right.
        #expect(try await store().resolve("6.12").release == "6.12.30-acme")
    }

    @Test func aTruncatedFileIsNotTakenAndTheNextGoesOn() async throws {
        let data = try #require(FileManager.default.contents(atPath: package.string))
        try data.prefix(data.count / 2).write(to: URL(fileURLWithPath: package.string))
        await #expect(throws: HarnessError.self) { try await store().resolve("6.12") }
        #expect(store().cachedKernels().isEmpty)
        try data.write(to: URL(fileURLWithPath: package.string))
        #expect(try await store().resolve("6.12").release == "6.12.30-acme")
    }

    /// The server has only the second half: what was fetched before must be used for it to come out right.
    @Test func anInterruptedDownloadIsResumed() async throws {
        let data = try #require(FileManager.default.contents(atPath: package.string))
        let half = data.count / 2
        try cache.write("\(downloads)/0-linux-image.deb.part", data.prefix(half))
        try (Data(count: half) + data.dropFirst(half)).write(to: URL(fileURLWithPath: package.string))
        #expect(try await store().resolve("6.12").release == "6.12.30-acme")
    }

    @Test func aRestOfAnotherFileIsReplaced() async throws {
        try cache.write("\(downloads)/0-linux-image.deb.part", Data("something else".utf8))
        #expect(try await store().resolve("6.12").release == "6.12.30-acme")
    }

    @Test func whatIsNotThereIsNamed() async throws {
        try FileManager.default.removeItem(atPath: package.string)
        let error = await failure(of: { try await store().resolve("6.12") })
        guard case .infrastructure(let text)? = error else {
            Issue.record("it was found: \(String(describing: error))")
            return
        }
        #expect(text.contains("cannot download file:///") && text.contains("6.12.30-acme/linux-image.deb"))
    }

    @Test func archivesOfTarPackagesAreTaken() async throws {
        try cache.write("t/boot/vmlinuz-6.12.30-acme", ScratchCache.bzImage("6.12.30-acme"))
        let file = cache.folders.cache.appending("builds/6.12.30-acme/linux.tar.gz")
        _ = try await Tool.require(
            "tar", ["-C", cache.folders.cache.appending("t").string, "-czf", file.string, "boot"], package: "tar",
            to: "pack")
        let store = store(try await cache.checksum(file), file: "linux.tar.gz")
        #expect(try await store.resolve("6.12").release == "6.12.30-acme")
    }

    @Test(arguments: [
        (["ftp://x/{version}.deb"], "no https:, http: or file: URL"), (["https://x/linux.deb"], "no {version} in it"),
        (["https://x/{version}.zip"], "ends in none of .deb"), ([], "has no url"),
        (["https://x/{version}.deb", "https://x/{version}-modules.deb"], "1 checksums for 2 files"),
    ])
    func whatIsWrongWithATemplateIsSaid(_ urls: [String], _ words: String) {
        let template = KernelTemplate(name: "acme", urls: urls, checksums: ["6.12.30": [sum]])
        #expect(template.complaint?.contains(words) == true)
    }

    @Test func namesVersionsAndSumsAreLookedAt() {
        let url = ["https://x/{version}.deb"]
        #expect(KernelTemplate(name: "acme", urls: url, checksums: ["6.12.30": [sum]]).complaint == nil)
        #expect(KernelTemplate(name: "debian", urls: url, checksums: [:]).complaint?.contains("name of a") == true)
        #expect(KernelTemplate(name: "a/b", urls: url, checksums: [:]).complaint?.contains("name of a") == true)
        #expect(
            KernelTemplate(name: "acme", urls: url, checksums: ["../x": [sum]]).complaint?.contains("no kernel version")
                == true)
        #expect(
            KernelTemplate(name: "acme", urls: url, checksums: ["6.1": ["f"]]).complaint?.contains("no SHA") == true)
    }
}

/// A folder of the user's own builds.
@Suite(.enabled(if: hasTools)) struct KernelFolderTests {
    let cache: ScratchCache
    let folder: FilePath
    let store: KernelStore

    init() throws {
        cache = try ScratchCache()
        folder = cache.folders.cache.appending("builds")
        try cache.write("builds/README", Data("not a kernel".utf8))
        store = KernelStore(
            folders: cache.folders, sources: KernelSources(environment: ["BPFTEST_KERNELS_DIR": "\(folder)"]),
            archive: FakeArchive())
    }

    @Test func kernelsOfAllFormsAreFound() async throws {
        try cache.write("builds/vmlinuz-6.12.30-a", ScratchCache.bzImage("6.12.30-a"))
        try cache.write("builds/config-6.12.30-a", Data())
        try cache.write("builds/b/boot/vmlinuz-6.12.31-b", ScratchCache.bzImage("6.12.31-b"))
        try cache.write("builds/b/lib/modules/6.12.31-b/kernel/x.ko", Data())
        try cache.write("builds/c/arch/x86/boot/bzImage", ScratchCache.bzImage("6.12.32-c"))
        try cache.write("builds/c/.config", Data("CONFIG_BPF_SYSCALL=y\n".utf8))
        try cache.write("builds/d/bzImage", ScratchCache.bzImage("6.12.33-d"))
        try cache.write("builds/e/bzImage", Data("broken".utf8))
        let made = try await cache.makePackage("6.1.0-56-cloud-amd64", version: "6.1.192-2")
        try FileManager.default.moveItem(atPath: made.string, toPath: folder.appending("f.deb").string)
        let headers = try await cache.makePackage("6.1.0", package: "linux-headers-6.1.0")
        try FileManager.default.moveItem(atPath: headers.string, toPath: folder.appending("g.deb").string)
        let offers = try await store.localOffers()
        #expect(
            offers.map(\.release) == ["6.12.33-d", "6.12.32-c", "6.12.31-b", "6.12.30-a", "6.1.0-56-cloud-amd64"])
        #expect(offers.last?.version == KernelVersion(6, 1, 192))
        // Where it lies, with what lies there.
        let tree = try await store.resolve("6.12.32-c")
        #expect(tree.config?.isBuiltIn("CONFIG_BPF_SYSCALL") == true)
        let root = try await store.resolve("6.12.31")
        #expect(root.modules == folder.appending("b/lib/modules/6.12.31-b"))
        #expect(store.cachedKernels().isEmpty)
        // A package is unpacked into the cache, and is still the folder's.
        #expect(try await store.resolve("6.1").release == "6.1.0-56-cloud-amd64")
        #expect(store.cachedKernels().map(\.source) == [.own])
    }

    @Test func aFolderThatIsNotThereIsAUsageError() async throws {
        let store = KernelStore(
            folders: cache.folders, sources: KernelSources(folders: ["/nowhere/kernels"]), archive: FakeArchive())
        let error = await failure(of: { try await store.resolve("6.12") })
        guard case .usage(let text)? = error else {
            Issue.record("it was read: \(String(describing: error))")
            return
        }
        #expect(text.contains("/nowhere/kernels cannot be read"))
    }
}
