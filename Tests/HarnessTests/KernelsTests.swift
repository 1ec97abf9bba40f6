// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing
import VMRunner

@testable import Harness

/// A cache of a test's own, removed with it.
final class ScratchCache: Sendable {
    let folders: Folders

    init() throws {
        let path = NSTemporaryDirectory() + "/bpftest-test-\(UUID().uuidString)"
        folders = Folders(environment: ["BPFTEST_CACHE": path])
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // The system sweeps what stays in its temporary folder.
        try? FileManager.default.removeItem(atPath: folders.cache.string)
    }

    @discardableResult
    func write(_ name: String, _ content: Data) throws -> FilePath {
        let file = folders.cache.appending(name)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try content.write(to: URL(fileURLWithPath: file.string))
        return file
    }

    /// The smallest file that passes for a bzImage: a boot header that points to the version.
    static func bzImage(_ release: String) -> Data {
        var data = Data(count: 0x600)
        data.replaceSubrange(0x202..<0x206, with: Data("HdrS".utf8))
        data[0x20f] = 2
        data.replaceSubrange(0x400..<(0x400 + release.utf8.count), with: Data(release.utf8))
        return data
    }

    /// A finished entry, as a fetch leaves it.
    @discardableResult
    func addKernel(
        _ release: String, version: String, name: String? = nil, source: CachedKernel.Source = .debian,
        folder: String? = nil
    ) throws -> CachedKernel {
        let image = "boot/vmlinuz-\(release)"
        let place = "kernels/\(folder ?? release)"
        try write("\(place)/\(image)", Self.bzImage(release))
        var entry = CachedKernel(source: source, release: release, version: version, origin: "a test", image: image)
        entry.name = name
        try entry.writeManifest(in: folders.cache.appending(place))
        return entry
    }
}

@Suite struct KernelBuilderTests {
    /// Of a build of 6.12.117 with a semicolon missing.
    @Test func whyABuildFailedIsNotWhatMakeDoes() {
        let log = """
            make: Entering directory '/linux'
              CC      kernel/trace/error_report-traces.o
              CC      kernel/bpf/tcx.o
            /linux/kernel/bpf/tcx.c:12:1: error: expected ‘,’ or ‘;’ before ‘int’
               12 | int tcx_prog_attach(const union bpf_attr *attr, struct bpf_prog *prog)
            make[5]: *** [/linux/scripts/Makefile.build:234: kernel/bpf/tcx.o] Error 1
            """
        let shown = KernelBuilder.complaints(in: log)
        #expect(shown.count == 2 && shown.first?.hasPrefix("/linux/kernel/bpf/tcx.c:12:1: error: ") == true)
        #expect(KernelBuilder.complaints(in: "a\n  CC error.o\n") == ["a", "  CC error.o"])
    }
}

@Suite struct ConfigFragmentTests {
    private let base = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_KERNEL_XZ=y\n# CONFIG_KERNEL_GZIP is not set\n"

    @Test func theLastSettingHoldsAndComesLast() {
        let first = ConfigFragment(name: "1", text: "# why\nCONFIG_B=m\nCONFIG_KERNEL_GZIP=y\n")
        let second = ConfigFragment(name: "2", text: "CONFIG_B=y\n# CONFIG_A is not set\n")
        #expect(
            ConfigFragment.merge(base, [first, second])
                == "CONFIG_KERNEL_XZ=y\nCONFIG_B=y\nCONFIG_KERNEL_GZIP=y\n# CONFIG_A is not set\n")
    }

    @Test func whatDidNotTakeIsSaid() {
        let fragment = ConfigFragment(
            name: "f",
            text: "CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=y\nCONFIG_NEW=y\n# CONFIG_D is not set\nCONFIG_L=\"bpf\"\n")
        let config = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=y\nCONFIG_L=\"bpf\"\n"
        let known: Set = ["CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_D", "CONFIG_L"]
        #expect(
            fragment.notTaken(in: config, known: known) == ["CONFIG_C=y (it is n)", "CONFIG_D=n (it is y)"])
    }

    @Test func optionsOfAKconfigFile() {
        let text =
            "menu \"x\"\nconfig BPF_SYSCALL\n\tbool \"Enable\"\nmenuconfig\tNET\nif NET\nconfigure this\nconfig\n"
        #expect(ConfigFragment.options(inKconfig: text) == ["CONFIG_BPF_SYSCALL", "CONFIG_NET"])
    }

    /// A typing error in a fragment would go unnoticed: an option that no kernel has is passed over.
    @Test(arguments: ["base", "bpf", "net", "debug"]) func ourFragmentsAreWellFormed(_ name: String) throws {
        let file = FilePath(#filePath).removingLastComponent().appending("../../images/\(name).config")
        let text = try String(contentsOfFile: file.string, encoding: .utf8)
        let lines = text.split(separator: "\n").filter { !$0.isEmpty }
        #expect(lines.first == "# SPDX-License-Identifier: Apache-2.0")
        let settings = ConfigFragment(name: name, text: text).settings
        #expect(settings.count == lines.filter { $0.contains("CONFIG_") }.count)
        #expect(Set(settings.map(\.option)).count == settings.count)
    }

    /// What a kernel is refused for is what the fragments set.
    @Test func ourFragmentsMakeAKernelThatIsTaken() throws {
        let folder = FilePath(#filePath).removingLastComponent().appending("../../images")
        let parts = try KernelBuilder.usualFragments.map { name in
            ConfigFragment(
                name: name, text: try String(contentsOfFile: folder.appending("\(name).config").string, encoding: .utf8)
            )
        }
        #expect(KernelConfig(text: ConfigFragment.merge("", parts)).missing() == [])
        #expect(KernelConfig(text: ConfigFragment.merge("", Array(parts.prefix(1)))).missing().count == 2)
    }
}

@Suite struct KernelStoreTests {
    let cache: ScratchCache
    let store: KernelStore

    init() throws {
        cache = try ScratchCache()
        store = KernelStore(folders: cache.folders)
    }

    private func refusal(_ spec: String) async -> HarnessError? {
        do {
            _ = try await store.resolve(spec)
            return nil
        } catch {
            return error
        }
    }

    @Test func aVersionMeansTheNewestThatFits() async throws {
        try cache.addKernel("6.1.0-9-cloud-amd64", version: "6.1.27")
        try cache.addKernel("6.1.0-56-cloud-amd64", version: "6.1.192")
        try cache.addKernel("6.1.200", version: "6.1.200", name: "mine", source: .build)
        let build = try await store.resolve("6.1")
        #expect(build.release == "6.1.0-56-cloud-amd64")
        // The package knows the mainline version that the release does not tell.
        #expect(build.version == KernelVersion(6, 1, 192))
        #expect(try await store.resolve("6.1.27").release == "6.1.0-9-cloud-amd64")
    }

    @Test func aBuiltKernelIsFoundByNameAndRelease() async throws {
        try cache.addKernel("6.18.0-mine+", version: "6.18.0", name: "mine", source: .build)
        #expect(try await store.resolve("mine").release == "6.18.0-mine+")
        #expect(try await store.resolve("6.18.0-mine+").origin == "mine")
        #expect(store.cachedKernels().map(\.handle) == ["mine"])
    }

    /// What stands in a bpftest.toml means the same kernel on a machine where somebody has built that version.
    @Test(arguments: [CachedKernel.Source.build, .package, .own])
    func aVersionIsThePublishedKernel(_ source: CachedKernel.Source) async throws {
        let folder = "\(source)-6.12.117"
        let store = KernelStore(folders: cache.folders, sources: KernelSources(), archive: FakeArchive())
        try cache.addKernel("6.12.117", version: "6.12.117", source: source, folder: folder)
        #expect(store.cachedKernels().map(\.handle) == [folder])
        #expect(try await store.resolve(folder).release == "6.12.117")
        do throws(HarnessError) {
            _ = try await store.resolve("6.12.117")
            Issue.record("a build was taken for a published kernel")
        } catch {
            let text = "\(error)"
            #expect(
                text.hasPrefix("there is no kernel 6.12.117") && text.contains("in the cache: \(folder)"), "\(text)")
        }
        try cache.addKernel("6.12.117+deb12-cloud-amd64", version: "6.12.117")
        #expect(try await store.resolve("6.12.117").release == "6.12.117+deb12-cloud-amd64")
        #expect(try await store.prune(names: [folder], all: false) == [folder])
    }

    @Test func halfAnEntryIsNone() async throws {
        try cache.addKernel("6.1.0-1", version: "6.1.1")
        try FileManager.default.removeItem(
            atPath: cache.folders.cache.appending("kernels/6.1.0-1/boot/vmlinuz-6.1.0-1").string)
        try cache.write("kernels/.new-left-over/manifest.json", Data())
        try cache.write("kernels/other/manifest.json", Data("{\"format\": 99}".utf8))
        #expect(store.cachedKernels().isEmpty)
    }

    @Test func filesTreesAndRootsAreTaken() async throws {
        let file = try cache.write("in/bzImage", ScratchCache.bzImage("6.18.1"))
        #expect(try await store.resolve(file.string).release == "6.18.1")
        try cache.write("tree/arch/x86/boot/bzImage", ScratchCache.bzImage("6.18.2"))
        #expect(try await store.resolve(cache.folders.cache.appending("tree").string).release == "6.18.2")
        try cache.write("root/boot/vmlinuz-6.18.3", ScratchCache.bzImage("6.18.3"))
        #expect(try await store.resolve(cache.folders.cache.appending("root").string).release == "6.18.3")
        try cache.write("split/usr/lib/modules/7.2.1/vmlinuz", ScratchCache.bzImage("7.2.1"))
        #expect(try await store.resolve(cache.folders.cache.appending("split").string).release == "7.2.1")
    }

    @Test func severalKernelsInARootAreNotGuessedFrom() async throws {
        for release in ["6.1.0", "6.2.0"] { try cache.write("boot/vmlinuz-\(release)", ScratchCache.bzImage(release)) }
        guard case .usage(let text)? = await refusal(cache.folders.cache.string) else {
            Issue.record("it was taken")
            return
        }
        #expect(text.contains("several kernels: give one of boot/vmlinuz-6.1.0, boot/vmlinuz-6.2.0"))
    }

    @Test func whatIsNothingIsAUsageErrorThatNamesWhatThereIs() async throws {
        try cache.addKernel("6.18.0", version: "6.18.0", name: "mine", source: .build)
        for spec in ["nothing", "/nowhere/bzImage", "6.x"] {
            guard case .usage(let text)? = await refusal(spec) else {
                Issue.record("\(spec) was taken")
                continue
            }
            #expect(text.contains("neither a file") && text.contains("in the cache: mine"))
        }
    }

    @Test func anythingThatEndsInDebIsLookedInto() async throws {
        let file = try cache.write("x.deb", Data("no archive".utf8))
        guard case .usage(let text)? = await refusal(file.string) else {
            Issue.record("it was taken")
            return
        }
        #expect(text.contains("is not a Debian package"))
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/dpkg-deb")))
    func aPackageIsUnpackedOnce() async throws {
        try cache.write("p/DEBIAN/control", Data("Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n\n".utf8))
        try cache.write("p/boot/vmlinuz-6.18.4", ScratchCache.bzImage("6.18.4"))
        try cache.write("p/boot/config-6.18.4", Data("CONFIG_BPF_SYSCALL=y\n".utf8))
        try cache.write("p/usr/share/doc/k/copyright", Data())
        let file = cache.folders.cache.appending("k.deb")
        _ = try await Tool.require(
            "dpkg-deb", ["--build", cache.folders.cache.appending("p").string, file.string], package: "dpkg",
            to: "make a package")
        let first = try await store.resolve(file.string)
        #expect(first.release == "6.18.4")
        #expect(first.config?.isBuiltIn("CONFIG_BPF_SYSCALL") == true)
        let entry = try #require(store.cachedKernels().first)
        #expect(entry.source == .package)
        #expect(try await store.resolve(file.string) == first)
        #expect(store.cachedKernels().count == 1)
    }

    @Test func anUnpackedHalfIsSweptByTheNext() async throws {
        try cache.write("kernels/.new-old/boot/vmlinuz", Data())
        _ = try store.makeTemporary()
        #expect(!FileManager.default.fileExists(atPath: cache.folders.cache.appending("kernels/.new-old").string))
    }

    @Test func pruneKeepsTheNewestOfEachSeriesAndWhatWasBuilt() async throws {
        try cache.addKernel("6.1.0-9-cloud-amd64", version: "6.1.27")
        try cache.addKernel("6.1.0-56-cloud-amd64", version: "6.1.192")
        try cache.addKernel("6.12.1", version: "6.12.1")
        try cache.addKernel("6.12.0", version: "6.12.0", name: "mine", source: .build)
        try cache.write("images/x.cpio", Data())
        _ = try await store.prune(names: [], all: false)
        #expect(store.cachedKernels().map { $0.name ?? $0.release } == ["6.12.1", "mine", "6.1.0-56-cloud-amd64"])
        #expect(!FileManager.default.fileExists(atPath: cache.folders.images.string))
        #expect(try await store.prune(names: ["mine"], all: false) == ["mine"])
        await #expect(throws: HarnessError.self) { try await store.prune(names: ["absent"], all: false) }
        #expect(store.cachedKernels().count == 2)
    }

    @Test func oneHolderOfTheLockAtATime() async throws {
        let path = cache.folders.cache.appending("lock")
        let first = try await FileLock.take(path) {}
        let (waits, waiting) = AsyncStream<Void>.makeStream()
        let second = Task {
            let lock = try await FileLock.take(path) { waiting.yield() }
            lock.release()
            return true
        }
        // It waits: the lock is taken. Only then is it let go.
        for await _ in waits { break }
        first.release()
        #expect(try await second.value)
    }

    @Test func waitingForTheLockCanBeInterrupted() async throws {
        let path = cache.folders.cache.appending("lock")
        let first = try await FileLock.take(path) {}
        let (waits, waiting) = AsyncStream<Void>.makeStream()
        let second = Task { () async -> Bool in
            do throws(HarnessError) {
                try await FileLock.take(path) { waiting.yield() }.release()
                return false
            } catch .cancelled {
                return true
            } catch {
                return false
            }
        }
        for await _ in waits { break }
        second.cancel()
        #expect(await second.value)
        first.release()
    }
}

@Suite struct DoctorTests {
    @Test func readsTheMemory() {
        #expect(Doctor.availableMiB("MemTotal: 24 kB\nMemAvailable:   2097152 kB\n") == 2048)
        #expect(Doctor.availableMiB("MemTotal: 24 kB\n") == nil)
    }

    @Test func aBareMachineLacksQEMUAndGuestFilesAndIsToldHowToGetThem() async throws {
        let cache = try ScratchCache()
        let doctor = Doctor(
            environment: ["PATH": "/nowhere", "BPFTEST_GUEST_DIR": "/nowhere"], folders: cache.folders)
        let missing = await doctor.examine().filter { $0.level == .missing }
        #expect(Set(["QEMU", "guest files"]).isSubset(of: missing.map(\.subject)))
        #expect(missing.allSatisfy { $0.remedy != nil })
        #expect(missing.first { $0.subject == "QEMU" }?.remedy == "apt-get install qemu-system-x86")
    }

    @Test func aCacheThatCannotBeMadeIsMissing() async throws {
        let folders = Folders(environment: ["BPFTEST_CACHE": "/proc/bpftest"])
        let findings = await Doctor(environment: [:], folders: folders).examine()
        #expect(findings.first { $0.subject == "cache" }?.level == .missing)
    }
}
