// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A second network namespace, which the caller's knows by a number.
final class OtherNamespace {
    private let home: FileHandle
    private let other: FileHandle
    private let test: Test

    init(_ test: Test, id: UInt32) throws {
        self.test = test
        home = FileHandle(try Descriptors.open("/proc/self/ns/net", O_RDONLY))
        try test.require(success: Namespaces.unshare(.network), "a second network namespace is made")
        other = FileHandle(try Descriptors.open("/proc/self/ns/net", O_RDONLY))
        try test.require(success: Namespaces.enter(home.raw), "the first one is entered again")
        try Netlink.assign(id: id, to: other.raw)
    }

    /// Does something inside.
    func enter<Result>(_ body: () throws -> Result) throws -> Result {
        try test.require(success: Namespaces.enter(other.raw), "the second namespace is entered")
        let result = Swift.Result { try body() }
        try test.require(success: Namespaces.enter(home.raw), "the first one is entered again")
        return try result.get()
    }

    /// States that something many times done takes no references to the namespace that it does not give back.
    ///
    /// - Parameter object: has the program `namespace`, which leaves the count in `namespace_references`.
    func expectNoReferences(from object: BPFObject, _ what: String, _ body: () throws -> Void) throws {
        let references = {
            try self.enter {
                self.test.expect(try object.run("namespace").get(), equals: 1, "the count is read")
                return try object.value(of: "namespace_references", as: Int32.self)
            }
        }
        let before = try references()
        try test.require(before > 0, "a namespace in use has references")
        for _ in 0..<64 { try body() }
        // Others may come and go meanwhile, such as those of netlink sockets; not one each time.
        test.expect(try references() < before + 32, "references to the namespace after 64 times \(what)")
    }
}
