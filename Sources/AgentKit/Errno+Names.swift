// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// The kernel's own spellings, as its sources and the specification have them.
extension Errno {
    public static let EPERM = Errno(rawValue: 1)
    public static let ENOENT = Errno(rawValue: 2)
    public static let E2BIG = Errno(rawValue: 7)
    public static let EBADF = Errno(rawValue: 9)
    public static let EACCES = Errno(rawValue: 13)
    public static let EFAULT = Errno(rawValue: 14)
    public static let EBUSY = Errno(rawValue: 16)
    public static let EEXIST = Errno(rawValue: 17)
    public static let ENODEV = Errno(rawValue: 19)
    public static let EINVAL = Errno(rawValue: 22)
    public static let ERANGE = Errno(rawValue: 34)
    public static let ENAMETOOLONG = Errno(rawValue: 36)
    public static let ENODATA = Errno(rawValue: 61)
    public static let ETIME = Errno(rawValue: 62)
    public static let ENONET = Errno(rawValue: 64)
    public static let EPROTO = Errno(rawValue: 71)
    public static let EBADMSG = Errno(rawValue: 74)
    public static let EDESTADDRREQ = Errno(rawValue: 89)
    public static let EPROTONOSUPPORT = Errno(rawValue: 93)
    public static let EOPNOTSUPP = Errno(rawValue: 95)
    public static let EAFNOSUPPORT = Errno(rawValue: 97)
    public static let ECONNABORTED = Errno(rawValue: 103)
    public static let ECONNRESET = Errno(rawValue: 104)
    public static let ECONNREFUSED = Errno(rawValue: 111)
    public static let ESTALE = Errno(rawValue: 116)
    public static let EKEYREVOKED = Errno(rawValue: 128)
    /// The kernel's own, which no system call should return, and bpf(2) does.
    public static let ENOTSUPP = Errno(rawValue: 524)
}
