// SPDX-License-Identifier: Apache-2.0

/// What a call answered: 0 or an errno, and what it told besides.
public struct Answer: Sendable, Equatable, CustomStringConvertible {
    public var errno: ErrorNumber
    /// In the order of the call's own description.
    public var values: [UInt64]

    public init(_ errno: ErrorNumber, values: [UInt64] = []) {
        self.errno = errno
        self.values = values
    }

    public static let success = Answer(.none)

    public var description: String {
        values.isEmpty ? "\(errno)" : "\(errno) \(values)"
    }
}

/// An errno of Linux: models are written where there is no C library.
public struct ErrorNumber: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let none = ErrorNumber(rawValue: 0)
    /// Nothing was done: the operation makes no sense here, for the kernel and for the model alike.
    public static let skipped = ErrorNumber(rawValue: -1)
    public static let perm = ErrorNumber(rawValue: 1)
    public static let noEntry = ErrorNumber(rawValue: 2)
    public static let tooBig = ErrorNumber(rawValue: 7)
    public static let badDescriptor = ErrorNumber(rawValue: 9)
    public static let access = ErrorNumber(rawValue: 13)
    public static let busy = ErrorNumber(rawValue: 16)
    public static let exists = ErrorNumber(rawValue: 17)
    public static let noDevice = ErrorNumber(rawValue: 19)
    public static let invalid = ErrorNumber(rawValue: 22)
    public static let noSpace = ErrorNumber(rawValue: 28)
    public static let range = ErrorNumber(rawValue: 34)
    public static let noLink = ErrorNumber(rawValue: 67)
    public static let noSuchDevice = ErrorNumber(rawValue: 6)
    public static let notSupported = ErrorNumber(rawValue: 95)
    public static let stale = ErrorNumber(rawValue: 116)

    private static let names: [Int32: String] = [
        -1: "nothing done", 0: "0", 1: "EPERM", 2: "ENOENT", 4: "EINTR", 6: "ENXIO", 7: "E2BIG", 9: "EBADF",
        11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 19: "ENODEV",
        22: "EINVAL", 28: "ENOSPC", 34: "ERANGE", 67: "ENOLINK", 95: "EOPNOTSUPP", 116: "ESTALE",
    ]

    public var description: String {
        Self.names[rawValue] ?? "errno \(rawValue)"
    }
}
