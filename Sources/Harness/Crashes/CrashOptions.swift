// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// What is to be done when a kernel breaks: docs/crashes.md.
public struct CrashOptions: Sendable {
    /// When the memory of a machine is written to a file.
    public enum Vmcore: String, Sendable, CaseIterable {
        case never
        /// When the kernel complained, went down or hangs.
        case crash
        /// When a case failed, for whatever reason.
        case always
    }

    var allowlist = SplatAllowlist()
    /// The kernel's debugging information; nil: what lies in the tree that it was built in, or where distributions put it.
    public var vmlinux: FilePath?
    public var vmcore = Vmcore.never
    /// Where vmcores go; made when there is one.
    public var vmcoreFolder = FilePath("bpftest-vmcores")
    /// A larger vmcore is removed.
    public var vmcoreLimitMiB = 1024
    /// Have agents tell the source lines of every program that they load, also before anything has failed.
    public var reportsProgramLines = false

    public init() {}

    /// Reads a file of complaints that may come, beside those of files read before.
    ///
    /// - Throws: `.usage` with the line that is wrong.
    public mutating func allow(file: String) throws(HarnessError) {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try Self.content(file)
        } catch {
            throw .usage("the list of splats \(file) cannot be read: \(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .usage("the list of splats \(file) is no text")
        }
        do throws(SplatAllowlist.Mistake) {
            allowlist.add(try SplatAllowlist(text))
        } catch {
            throw .usage("\(file), \(error)")
        }
    }

    /// A list that is longer is none.
    private static let sizeLimit = 1 << 20

    private static func content(_ path: String) throws(Errno) -> [UInt8] {
        let file = try Descriptors.open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: sizeLimit + 1)
        let count = try file.readExactly(bytes.count, into: &bytes)
        guard count <= sizeLimit else { throw .fileTooLarge }
        return Array(bytes[..<count])
    }
}
