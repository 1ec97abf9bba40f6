// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// Messages that several programs must meet, in the words of docs/semantics/kfuncs.md §3.
extension Rejection {
    public static let leak = Rejection(.EINVAL, "Unreleased reference")

    public static let maybeNull = Rejection(.EACCES, "Possibly NULL pointer passed to trusted arg0")
        .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R1")

    /// A stack address, or a number, where an object is wanted.
    public static func noObject(_ type: String) -> Rejection {
        Rejection(.EINVAL, "arg#0 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_2, .EINVAL, "R1 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_3, .EINVAL, "R1 is fp expected STRUCT \(type)")
    }

    /// The same, passed to a function that releases.
    public static func releaseOfNoObject(_ type: String, _ function: String) -> Rejection {
        Rejection(.EINVAL, "arg#0 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_2, .EINVAL, "release kfunc \(function) expects referenced PTR_TO_BTF_ID passed to R1")
    }

    public static func releaseOfUnreferenced(_ function: String) -> Rejection {
        Rejection(.EINVAL, "release kernel function \(function) expects refcounted PTR_TO_BTF_ID")
            .then(.v7_2, .EINVAL, "release kfunc \(function) expects referenced PTR_TO_BTF_ID passed to R1")
    }

    public static func notAllowed(_ function: String) -> Rejection {
        Rejection(.EACCES, "calling kernel function \(function) is not allowed")
    }

    public static let untrusted = Rejection(.EINVAL, "R1 must be referenced or trusted")
    public static let notRCU = Rejection(.EINVAL, "R1 must be a rcu pointer")
}
