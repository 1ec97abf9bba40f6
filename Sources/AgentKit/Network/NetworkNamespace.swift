// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// A second network namespace, in which the calling process can do something and come back.
public final class NetworkNamespace {
    private let home: FileHandle
    private let other: FileHandle

    /// Makes it, with `lo` up.
    public init() throws(Errno) {
        home = try Namespaces.open(.network)
        if let errno = Namespaces.unshare(.network) { throw errno }
        other = try Namespaces.open(.network)
        let made = Result { () throws(Errno) in try Netlink.setUp("lo") }
        if let errno = Namespaces.enter(home.raw) { throw errno }
        try made.get()
    }

    /// The descriptor that stands for it; -1 after `leave`.
    public var raw: CInt { other.raw }

    /// Does something inside. What is made there, such as a socket, stays there.
    public func inside<Value>(_ body: () throws -> Value) throws -> Value {
        if let errno = Namespaces.enter(other.raw) { throw errno }
        let result = Result { try body() }
        if let errno = Namespaces.enter(home.raw) { throw errno }
        return try result.get()
    }

    /// Gives it up: it ends, with all devices in it, unless something else holds it.
    public func leave() {
        other.close()
    }
}
