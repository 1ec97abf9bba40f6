// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import SystemPackage
import Testing
import VMRunner

@testable import Harness

@Suite struct KernelRequestTests {
    @Test(arguments: [
        ("6.12", "6.12.117", true), ("6.12", "6.1", false), ("6.1", "6.12.1", false), ("6.12.117", "6.12.117", true),
        ("6.12.117", "6.12.116", false), ("6.6.*", "6.6.30", true), ("7.3", "7.3-rc7", false),
        ("7.3-rc", "7.3-rc7", true), ("7.3-rc7", "7.3-rc7", true), ("7.3-rc6", "7.3-rc7", false),
        ("7.3-rc", "7.3", false), ("latest", "7.3.4", true), ("latest", "7.4-rc1", false), ("all", "7.4-rc1", true),
    ])
    func matches(_ request: String, _ version: String, _ expected: Bool) throws {
        let version = try #require(KernelVersion(version))
        #expect(try #require(KernelRequest(request)).matches(version) == expected)
    }

    @Test(arguments: [
        "", "6", "6.", ".6", "6.x", "6.1.2.3", "v6.1", "6.1-rcx", "6.1-foo", "6.*", "-6.1", "6.1 ", "latest ", "newest",
        "6.12:", ":cloud", "6.12:rt", "6.12:cloud:cloud", "6.1/x-amd64", "x-cloud-amd64", "6.12.117+deb12-rt-amd64",
    ])
    func refuses(_ text: String) {
        #expect(KernelRequest(text) == nil)
    }

    @Test func cloudIsMeantWhereNoFlavourIsNamed() throws {
        let version = KernelVersion(6, 12, 117)
        for (text, cloud, generic, own) in [
            ("6.12", true, false, true), ("6.12:cloud", true, false, false), ("6.12:generic", false, true, false),
            ("latest:generic", false, true, false),
        ] {
            let request = try #require(KernelRequest(text))
            #expect(request.matches(release: "6.12.117+deb12-cloud-amd64", version, .cloud) == cloud)
            #expect(request.matches(release: "6.12.117+deb12-amd64", version, .generic) == generic)
            #expect(request.matches(release: "6.12.117-acme", version, nil) == own)
        }
    }

    @Test func aReleaseIsExactAndBringsItsFlavour() throws {
        let request = try #require(KernelRequest("6.12.117+deb12-amd64"))
        #expect(request.isExact)
        #expect(request.matches(release: "6.12.117+deb12-amd64", KernelVersion(6, 12, 117), .generic))
        #expect(!request.matches(release: "6.12.117+deb13-amd64", KernelVersion(6, 12, 117), .generic))
        #expect(KernelRequest("6.12.117+deb12-amd64:cloud") == nil)
    }

    @Test func anUnknownFlavourIsNamedAndOtherWordsAreNot() {
        #expect(KernelRequest.complaint(about: "6.12:rt")?.contains("no flavour 'rt', only :cloud or :generic") == true)
        #expect(KernelRequest.complaint(about: "6.12") == nil)
        #expect(KernelRequest.complaint(about: "vmlinuz:x") == nil)
    }
}

@Suite struct DebianPackagesTests {
    /// Paragraphs of Debian's lists of November 2026, shortened to the fields that are read and some that are not.
    private let listing = """
        Package: linux-image-6.1-cloud-amd64
        Source: linux-signed-6.1-amd64 (6.1.180+1~deb11u1)
        Version: 6.1.180-1~deb11u1
        Installed-Size: 13
        Depends: linux-image-6.1.0-0.deb11.52-cloud-amd64 (= 6.1.180-1~deb11u1)
        Description: Linux for x86-64 cloud (meta-package)
        Filename: pool/updates/main/l/linux-signed-6.1-amd64/linux-image-6.1-cloud-amd64_6.1.180-1~deb11u1_amd64.deb
        Size: 1524
        SHA256: bf10bac3f1aa09967d15b3346fe0c714349a1c84421e7e80dd3fe388e3819bc6

        Package: linux-image-6.18.15+deb13-cloud-amd64
        Source: linux-signed-amd64 (6.18.15+1~bpo13+1)
        Version: 6.18.15-1~bpo13+1
        Depends: dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, kmod, linux-base (>= 4.12~)
        Description: Linux 6.18.15 for x86-64 cloud (signed)
         Version: 9.9 is a continuation line
        Filename: pool/main/l/linux-signed-amd64/linux-image-6.18.15+deb13-cloud-amd64_6.18.15-1~bpo13+1_amd64.deb
        Size: 49146196
        SHA256: 5a507681ea8c978d02265a7fec2f02c9588fb48b54b7f71edc1059e86007f3ec

        Package: linux-image-6.18.15+deb13-cloud-amd64-unsigned
        Version: 6.18.15-1~bpo13+1
        Filename: pool/main/l/linux/unsigned.deb
        SHA256: aa

        Package: linux-image-6.18.12+deb13-amd64-unsigned
        Version: 6.18.12-1~bpo13+1
        Filename: pool/main/l/linux/linux-image-6.18.12+deb13-amd64-unsigned_6.18.12-1~bpo13+1_amd64.deb
        Size: 100
        SHA256: bb

        Package: linux-image-6.18.15+deb13-rt-amd64
        Version: 6.18.15-1~bpo13+1
        Filename: pool/main/l/linux/rt.deb
        SHA256: ab

        Package: linux-image-6.19.10+deb13-cloud-amd64
        Source: linux-signed-amd64 (6.19.10+1~bpo13+1)
        Version: 6.19.10-1~bpo13+1
        Depends: kmod, linux-base-6.19.10+deb13-cloud-amd64 (= 6.19.10-1~bpo13+1), linux-binary-6.19.10+deb13-cloud-amd64
        Filename: pool/main/l/linux-signed-amd64/linux-image-6.19.10+deb13-cloud-amd64_6.19.10-1~bpo13+1_amd64.deb
        Size: 2068
        SHA256: e616309978e927fc9b7e00eab5709ecece546cbadb930252be22b7a36afbc1ef

        Package: linux-binary-6.19.10+deb13-cloud-amd64
        Version: 6.19.10-1~bpo13+1
        Depends: linux-base-6.19.10+deb13-cloud-amd64 (= 6.19.10-1~bpo13+1)
        Filename: pool/main/l/linux-signed-amd64/linux-binary-6.19.10+deb13-cloud-amd64_6.19.10-1~bpo13+1_amd64.deb
        Size: 12979940
        SHA256: 1d40c59a5dd91f422a899bbf533d4b60f36cd829a7bb816bb739adb9257f1337

        Package: linux-image-7.3-cloud-amd64
        Version: 7.3~rc7-1~exp1
        Depends: linux-base-7.3-cloud-amd64, linux-binary-7.3-cloud-amd64 (= 7.3~rc7-1~exp1)
        Filename: pool/main/l/linux-signed-amd64/linux-image-7.3-cloud-amd64_7.3~rc7-1~exp1_amd64.deb
        Size: 1916
        SHA256: b47a81bd2d45e7158be507d150abdfe576fa78e3643d1820fc095364366b8a45

        Package: linux-binary-7.3-cloud-amd64
        Source: linux-signed-amd64 (7.3~rc7+1~exp1)
        Version: 7.3~rc7-1~exp1
        Depends: linux-base-7.3-cloud-amd64 (= 7.3~rc7-1~exp1)
        Filename: pool/main/l/linux-signed-amd64/linux-binary-7.3-cloud-amd64_7.3~rc7-1~exp1_amd64.deb
        Size: 13885624
        SHA256: f607118da820d8ba7f06826bff27e84a30b95dbd4a9bdb646f38d8481b1e4268

        Package: linux-modules-7.3-cloud-amd64
        Source: linux
        Version: 7.3~rc7-1~exp1
        Depends: kmod, linux-base-7.3-cloud-amd64 (= 7.3~rc7-1~exp1)
        Filename: pool/main/l/linux/linux-modules-7.3-cloud-amd64_7.3~rc7-1~exp1_amd64.deb
        Size: 21397624
        SHA256: 02e6b6a55aa9fd2a3e1fc7c423c94b7108972f391d441b7cb6854fbec5412835

        Package: linux-base-7.3-cloud-amd64
        Source: linux
        Version: 7.3~rc7-1~exp1
        Filename: pool/main/l/linux/linux-base-7.3-cloud-amd64_7.3~rc7-1~exp1_amd64.deb
        Size: 357680
        SHA256: 1b4a9f70c906c94c4cb702419c1c6cf5f7f11a129050d54dbe617fd10672bc9f

        X-End: yes

        """

    private func offer(_ release: String) throws -> KernelOffer {
        try #require(DebianPackages(parsing: listing).offers(suite: "s").first { $0.release == release })
    }

    @Test func kernelsOfAllLayoutsAndNothingElse() {
        #expect(
            DebianPackages(parsing: listing).offers(suite: "s").map(\.release) == [
                "6.18.15+deb13-cloud-amd64", "6.18.12+deb13-amd64", "6.19.10+deb13-cloud-amd64", "7.3-cloud-amd64",
            ])
    }

    @Test func onePackageSignedRatherThanUnsigned() throws {
        let signed = try offer("6.18.15+deb13-cloud-amd64")
        #expect(signed.files.map(\.name) == ["linux-image-6.18.15+deb13-cloud-amd64"])
        #expect(signed.size == 49_146_196)
        #expect(signed.version == KernelVersion(6, 18, 15) && signed.flavour == .cloud && signed.origin == "s")
        let unsigned = try offer("6.18.12+deb13-amd64")
        #expect(unsigned.files.map(\.sha256) == ["bb"])
        #expect(unsigned.flavour == .generic)
    }

    @Test func threePackages() throws {
        let split = try offer("7.3-cloud-amd64")
        #expect(
            split.files.map(\.name) == [
                "linux-binary-7.3-cloud-amd64", "linux-modules-7.3-cloud-amd64", "linux-base-7.3-cloud-amd64",
            ])
        #expect(split.size == 13_885_624 + 21_397_624 + 357_680)
        #expect(split.version == KernelVersion(7, 3, candidate: 7))
        #expect(split.missing.isEmpty)
    }

    @Test func whatHasLostItsModulesSaysSo() throws {
        let partial = try offer("6.19.10+deb13-cloud-amd64")
        #expect(partial.files.map(\.name) == ["linux-binary-6.19.10+deb13-cloud-amd64"])
        #expect(
            partial.missing == [
                "linux-modules-6.19.10+deb13-cloud-amd64", "linux-base-6.19.10+deb13-cloud-amd64",
            ])
    }
}

private let hasApt = ["/usr/bin/apt-get", "/usr/share/keyrings/debian-archive-keyring.gpg"].allSatisfy {
    FileManager.default.fileExists(atPath: $0)
}

@Suite struct DebianArchiveTests {
    static func offer(
        _ release: String, _ version: String, package: String = "1", missing: [String] = []
    ) -> KernelOffer {
        let file = KernelOffer.File(name: "linux-image-\(release)", place: "pool/x.deb", sha256: "00", size: 1)
        return KernelOffer(
            provider: DebianArchive.providerName, release: release, version: KernelVersion(version) ?? .init(0, 0),
            flavour: KernelFlavour(release: release), packageVersion: package, origin: "suite", files: [file],
            missing: missing)
    }

    @Test func newestFirstAndOfTheSameVersionTheOlderDistributions() {
        let ordered = DebianArchive.merge([
            Self.offer("6.12.117+deb13-cloud-amd64", "6.12.117"), Self.offer("6.1.0-9-cloud-amd64", "6.1.27"),
            Self.offer("6.12.117+deb12-cloud-amd64", "6.12.117"), Self.offer("6.12.117+deb12-amd64", "6.12.117"),
            Self.offer("7.3-cloud-amd64", "7.3-rc7"), Self.offer("7.3.4+deb13-cloud-amd64", "7.3.4"),
            Self.offer("6.1.0-56-cloud-amd64", "6.1.192"),
        ])
        #expect(
            ordered.map(\.release) == [
                "7.3.4+deb13-cloud-amd64", "7.3-cloud-amd64", "6.12.117+deb12-cloud-amd64",
                "6.12.117+deb13-cloud-amd64", "6.12.117+deb12-amd64", "6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64",
            ])
    }

    @Test func ofTwoSuitesTheOneThatHasAllOfIt() {
        let merged = DebianArchive.merge([
            Self.offer("7.1-cloud-amd64", "7.1", missing: ["modules"]), Self.offer("7.1-cloud-amd64", "7.1"),
        ])
        #expect(merged.count == 1 && merged[0].missing.isEmpty)
    }

    /// Words of apt 2.6.
    @Test func aSuiteThatTheMirrorLacksIsToldFromANetworkThatFails() {
        let absent = """
            Ign:1 http://mirror.example/debian bullseye-backports InRelease
            Err:2 http://mirror.example/debian bullseye-backports Release
              404  Not Found [IP: 192.0.2.1 80]
            E: The repository 'http://mirror.example/debian bullseye-backports Release' does not have a Release file.
            """
        #expect(DebianSuite.isAbsence(absent))
        let offline = """
            W: Failed to fetch http://mirror.example/debian/dists/bullseye/InRelease  Could not resolve 'mirror.example'
            E: Some index files failed to download. They have been ignored, or old ones used instead.
            """
        #expect(!DebianSuite.isAbsence(offline))
        #expect(!DebianSuite.isAbsence("E: The repository 'x' is not signed."))
        #expect(!DebianSuite.isAbsence(""))
    }

    /// A mirror that no request reaches: what is known is used for as long as it is wanted, and then said to be old.
    @Test(.enabled(if: hasApt)) func whatWasReadIsUsedUntilItIsTooOld() async throws {
        let cache = try ScratchCache()
        let entry = DebianSuite.Index.Entry(
            release: "6.1.0-9-cloud-amd64", version: "6.1.27", package: "6.1.27-1", files: [], missing: [])
        for suite in DebianArchive.usualSuites {
            var index = DebianSuite.Index(updated: .now.addingTimeInterval(-100))
            index.isAbsent = suite == "bullseye-backports"
            if suite == "bookworm" { index.offers = [entry] }
            try cache.write("apt/\(suite)/kernels.json", try JSONEncoder().encode(index))
        }
        let notes = Mutex<[String]>([])
        let archive = DebianArchive(
            folders: cache.folders, environment: ["BPFTEST_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"]
        ) { text in notes.withLock { $0.append(text) } }
        #expect(try await archive.offers(notOlderThan: .seconds(1000)).map(\.release) == ["6.1.0-9-cloud-amd64"])
        #expect(notes.withLock { $0 }.isEmpty)
        #expect(try await archive.offers(notOlderThan: .seconds(10)).map(\.release) == ["6.1.0-9-cloud-amd64"])
        #expect(notes.withLock { $0 }.contains { $0.contains("lists of bookworm:") && $0.contains("is used") })
    }

    @Test func withoutANetworkAndWithoutListsItIsAnError() async throws {
        let cache = try ScratchCache()
        let archive = DebianArchive(
            folders: cache.folders, environment: ["BPFTEST_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"]
        ) { _ in }
        await #expect(throws: HarnessError.self) { try await archive.offers(notOlderThan: .zero) }
        #expect(!FileManager.default.fileExists(atPath: cache.folders.apt.appending("bookworm/kernels.json").string))
    }

    @Test func sitesComeFromTheHostsSources() {
        let targets = """
            http://packages.example/apt cloud-sdk-bookworm main
            http://nodes.example/ nodistro main
            http://mirror.example/debian bookworm contrib
            http://mirror.example/debian bookworm main
            http://other.example/debian bookworm-updates main
            http://security.example/debian-security bookworm-security main
            """
        let sites = DebianSites(targets: targets)
        #expect(sites.main == "http://mirror.example/debian")
        #expect(sites.security == "http://security.example/debian-security")
        #expect(sites.suites == ["bookworm", "bookworm-updates", "bookworm-security"])
        #expect(
            DebianSites(targets: "http://archive.example/ubuntu noble main\n") == DebianSites(main: nil, security: nil))
        #expect(DebianSites(targets: "") == DebianSites(main: nil, security: nil))
    }

    @Test func aMirrorCanBeNamed() async throws {
        let sites = try await DebianSites.ofHost(environment: ["BPFTEST_DEBIAN_MIRROR": "http://m.example/debian"])
        #expect(sites == DebianSites(main: "http://m.example/debian", security: "http://m.example/debian-security"))
    }
}

/// An archive without a network: what it has, and what becomes of a fetch.
struct FakeArchive: KernelProvider {
    let name = DebianArchive.providerName
    let isLocal = false
    var offers: [KernelOffer] = []
    var failure: HarnessError?
    var fetches: @Sendable (KernelOffer, FilePath) async throws(HarnessError) -> KernelFiles = {
        (offer, _) throws(HarnessError) in
        throw .infrastructure("no fetch of \(offer.release) was expected")
    }

    func offers(notOlderThan age: Duration) async throws(HarnessError) -> [KernelOffer] {
        if let failure { throw failure }
        return DebianArchive.merge(offers)
    }

    func fetch(_ offer: KernelOffer, into folder: FilePath) async throws(HarnessError) -> KernelFiles {
        try await fetches(offer, folder)
    }
}

@Suite struct KernelChoiceTests {
    private let archive = FakeArchive(offers: [
        DebianArchiveTests.offer("5.10.0-46-cloud-amd64", "5.10.262"),
        DebianArchiveTests.offer("6.12.95+deb12-cloud-amd64", "6.12.95"),
        DebianArchiveTests.offer("6.12.117+deb12-cloud-amd64", "6.12.117"),
        DebianArchiveTests.offer("6.12.117+deb12-amd64", "6.12.117"),
        DebianArchiveTests.offer(
            "7.1.13+deb13-cloud-amd64", "7.1.13", missing: ["linux-modules-7.1.13+deb13-cloud-amd64"]),
        DebianArchiveTests.offer("7.2.12+deb13-cloud-amd64", "7.2.12"),
        DebianArchiveTests.offer("7.3-cloud-amd64", "7.3-rc7"),
    ])

    private func store(_ cache: ScratchCache, _ archive: FakeArchive? = nil) -> KernelStore {
        KernelStore(folders: cache.folders, sources: KernelSources(), archive: archive ?? self.archive)
    }

    @Test(arguments: [
        ("6.12", "6.12.117+deb12-cloud-amd64"), ("6.12:generic", "6.12.117+deb12-amd64"),
        ("6.12.95", "6.12.95+deb12-cloud-amd64"), ("latest", "7.2.12+deb13-cloud-amd64"),
        ("7.3-rc", "7.3-cloud-amd64"), ("7.1.13+deb13-cloud-amd64", "7.1.13+deb13-cloud-amd64"),
    ])
    func theNewestThatFits(_ spec: String, _ release: String) async throws {
        let offers = try await archive.offers(notOlderThan: .zero)
        #expect(KernelStore.choice(try #require(KernelRequest(spec)), offers)?.release == release)
    }

    @Test(arguments: [
        ("6.12.44", ["there is no kernel 6.12.44; on offer are 6.12.95, 6.12.117 (bpftest"]),
        ("9.9", ["there is no kernel 9.9; on offer are 5.10, 6.12, 7.2, 7.3-rc (bpftest"]),
        ("5.10:generic", ["there is no kernel 5.10:generic; on offer are 6.12 (bpftest"]),
        ("7.1", ["not whole any more", "no linux-modules-7.1.13", "by its release, 7.1.13+deb13-cloud-amd64"]),
    ])
    func whatIsNotOnOfferIsAUsageErrorThatNamesWhatIs(_ spec: String, _ words: [String]) async throws {
        let cache = try ScratchCache()
        let error = await failure(of: { try await store(cache).resolve(spec) })
        guard case .usage(let text)? = error else {
            Issue.record("\(spec) was found: \(String(describing: error))")
            return
        }
        for word in words { #expect(text.contains(word), "\(text)") }
    }

    @Test func allIsOneOfEachSeriesOldestFirst() async throws {
        let cache = try ScratchCache()
        try cache.addKernel("6.1.0-56-cloud-amd64", version: "6.1.192")
        let all = ["5.10", "6.1", "6.12", "7.2", "7.3-rc"]
        // One that is named besides is there once, in its own place.
        let others = all.filter { $0 != "6.12" }
        #expect(try await store(cache).expand(["mine", "all", "6.12"]) == ["mine"] + others + ["6.12"])
        #expect(try await store(cache).expand(["all"]) == all)
        #expect(try await store(cache).expand(["all:generic"]) == ["6.12:generic"])
        await #expect(throws: HarnessError.self) { try await store(cache).resolve("all") }
    }

    @Test func withoutANetworkTheCacheIsWhatThereIs() async throws {
        let cache = try ScratchCache()
        let offline = FakeArchive(failure: .infrastructure("no network"))
        await #expect(throws: HarnessError.self) { try await store(cache, offline).expand(["all"]) }
        try cache.addKernel("6.1.0-56-cloud-amd64", version: "6.1.192")
        try cache.addKernel("6.1.0-56-amd64", version: "6.1.192")
        #expect(try await store(cache, offline).expand(["all"]) == ["6.1"])
        #expect(try await store(cache, offline).resolve("6.1").release == "6.1.0-56-cloud-amd64")
        #expect(try await store(cache, offline).resolve("6.1:generic").release == "6.1.0-56-amd64")
        #expect(try await store(cache, offline).resolve("latest").release == "6.1.0-56-cloud-amd64")
        let error = await failure(of: { try await store(cache, offline).resolve("6.12") })
        guard case .infrastructure(let text)? = error else {
            Issue.record("it was found: \(String(describing: error))")
            return
        }
        #expect(text.contains("kernel 6.12 is not in the cache and cannot be fetched: no network"))
        #expect(text.contains("in the cache: 6.1.0-56"))
    }

    @Test func whatIsInTheCacheIsNotAskedFor() async throws {
        let cache = try ScratchCache()
        try cache.addKernel("6.12.95+deb12-cloud-amd64", version: "6.12.95")
        #expect(try await store(cache).resolve("6.12").release == "6.12.95+deb12-cloud-amd64")
    }

    @Test func aKernelWithoutItsModulesStandsForNothingElse() async throws {
        let cache = try ScratchCache()
        var entry = try cache.addKernel("7.1.13+deb13-cloud-amd64", version: "7.1.13")
        entry.missing = ["linux-modules-7.1.13+deb13-cloud-amd64"]
        try entry.writeManifest(in: cache.folders.kernels.appending(entry.release))
        #expect(try await store(cache).resolve("7.1.13+deb13-cloud-amd64").release == "7.1.13+deb13-cloud-amd64")
        await #expect(throws: HarnessError.self) { try await store(cache).resolve("7.1") }
        #expect(try await store(cache).expand(["all"]).contains("7.1") == false)
    }

    @Test func whatCanBeHadSaysWhatIsCached() async throws {
        let cache = try ScratchCache()
        try cache.addKernel("7.3-cloud-amd64", version: "7.3-rc7", folder: "7.3-cloud-amd64_1")
        let listings = try await store(cache).offers(matching: ["7.3-rc", "7.2"].compactMap { KernelRequest($0) })
        #expect(listings.map(\.offer.release) == ["7.3-cloud-amd64", "7.2.12+deb13-cloud-amd64"])
        #expect(listings.map { $0.cached != nil } == [true, false])
        #expect(try await store(cache).offers().count == 7)
    }
}
