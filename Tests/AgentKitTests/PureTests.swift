// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AgentKit

@Suite struct KernelReleaseTests {
    @Test(arguments: [
        ("6.12.117+deb12-cloud-amd64", KernelRelease(6, 12)), ("7.3-rc7", KernelRelease(7, 3)),
        ("5.10", KernelRelease(5, 10)), ("7.0.0", KernelRelease(7, 0)),
    ])
    func reads(text: String, release: KernelRelease) {
        #expect(KernelRelease(text) == release)
    }

    @Test(arguments: ["", "6", "six.1", "6.", ".1", "6.x"])
    func refuses(text: String) {
        #expect(KernelRelease(text) == nil)
    }

    @Test func comparesByNumber() {
        #expect(KernelRelease(6, 9) < KernelRelease(6, 12))
        #expect(KernelRelease(6, 12) < KernelRelease(7, 0))
    }
}

@Suite struct RejectionTests {
    let rejection = Rejection(.EINVAL, "old").then(KernelRelease(7, 2), .EACCES, "new")

    private func words(_ major: Int, _ minor: Int) -> [String] {
        rejection.allowed(on: KernelRelease(major, minor)).map(\.fragment)
    }

    @Test func kernelsThatWereReadHaveOneWording() {
        #expect(words(6, 12) == ["old"])
        #expect(words(7, 2) == ["new"])
        #expect(words(7, 3) == ["new"])
    }

    @Test func kernelsBetweenMayHaveEither() {
        #expect(words(6, 18) == ["old", "new"])
    }

    @Test func olderKernelsHaveTheFirst() {
        #expect(words(6, 6) == ["old"])
    }

    @Test func aReleaseMayHaveTwoWordings() {
        let rejection = Rejection(.EINVAL, "old").or(.EINVAL, "other").then(KernelRelease(7, 2), .EACCES, "new")
        #expect(rejection.allowed(on: KernelRelease(6, 12)).map(\.fragment) == ["old", "other"])
        #expect(rejection.allowed(on: KernelRelease(6, 18)).map(\.fragment) == ["old", "other", "new"])
        #expect(rejection.allowed(on: KernelRelease(7, 3)).map(\.fragment) == ["new"])
    }
}

@Suite struct AttrTests {
    @Test func fieldsAreLittleEndianAtTheirOffsets() {
        var attr = Attr(size: 16)
        attr.set(UInt32(0x0102_0304), at: 4)
        attr.set(Int32(-1), at: 8)
        #expect(attr.get(at: 4) == UInt8(4))
        #expect(attr.get(at: 4) == UInt32(0x0102_0304))
        #expect(attr.get(at: 8) == Int32(-1))
        #expect(attr.get(at: 0) == UInt32(0))
    }

    @Test func fieldsBeyondTheSizeAreLeftOut() {
        var attr = Attr(size: 10)
        attr.set(UInt32.max, at: 8)
        #expect(attr.get(at: 8) == UInt16.max)
    }
}

@Suite struct BTFTests {
    /// Header, an INT, a FUNC_PROTO with one parameter, a STRUCT with one member, a FUNC.
    private func blob(_ name: String) -> [UInt8] {
        func words(_ values: UInt32...) -> [UInt8] {
            values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) } }
        }
        let strings = [UInt8(0)] + Array("int".utf8) + [0] + Array(name.utf8) + [0]
        let types =
            words(1, 1 << 24, 4, 32) + words(0, 13 << 24 | 1, 1) + words(0, 1)
            + words(1, 4 << 24 | 1, 4) + words(1, 1, 0) + words(5, 12 << 24, 2)
        return [0x9f, 0xeb, 1, 0] + words(24, 0, UInt32(types.count), UInt32(types.count), UInt32(strings.count))
            + types + strings
    }

    @Test func findsAFunctionByItsWholeName() throws {
        let file = try #require(BTFFile(blob("bpf_some_function")))
        #expect(try file.hasFunction("bpf_some_function", base: nil))
        #expect(try !file.hasFunction("bpf_some", base: nil))
        #expect(try !file.hasFunction("some_function", base: nil))
        // A type's name, and no function's.
        #expect(try !file.hasFunction("int", base: nil))
    }

    @Test func doesNotCallAbsentWhatItCannotRead() throws {
        var bytes = blob("bpf_some_function")
        // The first type becomes one of a kind that does not exist yet.
        bytes[24 + 7] = 31
        let file = try #require(BTFFile(bytes))
        #expect(throws: Errno.badMessage) { try file.hasFunction("bpf_some_function", base: nil) }
    }

    @Test func refusesWhatIsNoBTF() {
        #expect(BTFFile([]) == nil)
        #expect(BTFFile([UInt8](repeating: 0, count: 64)) == nil)
        var pointingOutside = blob("f")
        pointingOutside[20] = 0xff
        #expect(BTFFile(pointingOutside) == nil)
        #expect(BTFFile(Array(blob("f").dropLast())) == nil)
    }
}

@Suite struct ObjectTests {
    @Test func aMissingFileIsAnErrorThatNamesIt() throws {
        let error = #expect(throws: LoadError.self) { _ = try BPFObject("/nowhere/thing.bpf.o") }
        #expect(error?.errno == .noSuchFileOrDirectory)
        #expect(error?.description.hasPrefix("cannot open nowhere/thing.bpf.o: ENOENT (2)") == true)
    }
}

@Suite struct SinceTests {
    @Test func theNewestFeatureDecidesUnlessTheCaseSaysSo() {
        let old = Feature("old", since: "6.9") { .present }
        let new = Feature("new", since: "6.12") { .present }
        #expect(SuiteRun.since(Case("a", "", needs: [new, old]) { _ in }) == "6.12")
        #expect(SuiteRun.since(Case("a", "", since: "5.10", needs: [new]) { _ in }) == "5.10")
        #expect(SuiteRun.since(Case("a", "") { _ in }) == nil)
    }
}
