// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// The kernel's own spellings, as its sources and the specification have them.
extension Errno {
    public static let EPERM = Errno(rawValue: 1)
    public static let ENOENT = Errno(rawValue: 2)
    public static let EBADF = Errno(rawValue: 9)
    public static let EACCES = Errno(rawValue: 13)
    public static let EBUSY = Errno(rawValue: 16)
    public static let EEXIST = Errno(rawValue: 17)
    public static let ENODEV = Errno(rawValue: 19)
    public static let EINVAL = Errno(rawValue: 22)
    public static let ERANGE = Errno(rawValue: 34)
    public static let ENAMETOOLONG = Errno(rawValue: 36)
    public static let ENODATA = Errno(rawValue: 61)
    public static let EOPNOTSUPP = Errno(rawValue: 95)
    public static let ESTALE = Errno(rawValue: 116)
}
