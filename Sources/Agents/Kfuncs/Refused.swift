// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A program that the verifier must refuse: one line of the specification's table.
struct Refused: Sendable {
    let id: String
    let title: String
    let program: String
    let needs: [Feature]
    let rejection: Rejection
    let place: (file: String, line: Int)

    init(
        _ id: String, _ title: String, _ program: String, needs: [Feature] = [], _ rejection: Rejection,
        file: String = #fileID, line: Int = #line
    ) {
        self.id = id
        self.title = title
        self.program = program
        self.needs = needs
        self.rejection = rejection
        place = (file, line)
    }

    /// - Parameter common: what all programs of the object need.
    func asCase(_ object: String, spec: String? = nil, needs common: [Feature]) -> Case {
        Case(id, title, spec: spec.map { [$0] } ?? [Self.spec(id)], since: "6.12", needs: common + needs) { test in
            test.expect(object, program: program, refused: rejection, file: place.file, line: place.line)
        }
    }

    /// `K-018` for `K-018.xdp`.
    private static func spec(_ id: String) -> String {
        String(id.prefix { $0 != "." })
    }
}

extension KernelRelease {
    static let v7_2 = KernelRelease(7, 2)
    static let v7_3 = KernelRelease(7, 3)
}

/// Messages that several programs must meet, in the words of docs/semantics/kfuncs.md §3.
extension Rejection {
    static let leak = Rejection(.EINVAL, "Unreleased reference")

    static let maybeNull = Rejection(.EACCES, "Possibly NULL pointer passed to trusted arg0")
        .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R1")

    /// A stack address, or a number, where an object is wanted.
    static func noObject(_ type: String) -> Rejection {
        Rejection(.EINVAL, "arg#0 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_2, .EINVAL, "R1 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_3, .EINVAL, "R1 is fp expected STRUCT \(type)")
    }

    /// The same, passed to a function that releases.
    static func releaseOfNoObject(_ type: String, _ function: String) -> Rejection {
        Rejection(.EINVAL, "arg#0 pointer type STRUCT \(type) must point to scalar, or struct with scalar")
            .then(.v7_2, .EINVAL, "release kfunc \(function) expects referenced PTR_TO_BTF_ID passed to R1")
    }

    static func releaseOfUnreferenced(_ function: String) -> Rejection {
        Rejection(.EINVAL, "release kernel function \(function) expects refcounted PTR_TO_BTF_ID")
            .then(.v7_2, .EINVAL, "release kfunc \(function) expects referenced PTR_TO_BTF_ID passed to R1")
    }

    static func notAllowed(_ function: String) -> Rejection {
        Rejection(.EACCES, "calling kernel function \(function) is not allowed")
    }

    static let untrusted = Rejection(.EINVAL, "R1 must be referenced or trusted")
    static let notRCU = Rejection(.EINVAL, "R1 must be a rcu pointer")
}
