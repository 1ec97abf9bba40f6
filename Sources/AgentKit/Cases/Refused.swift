// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// A program that the verifier must refuse: one line of the specification's table.
public struct Refused: Sendable {
    let id: String
    let title: String
    let program: String
    let since: String
    let needs: [Feature]
    let rejection: Rejection
    let place: (file: String, line: Int)

    /// - Parameters:
    ///   - program: the only one of the object that is loaded.
    ///   - since: first mainline release that refuses it in these words.
    ///   - rejection: errno and words by version.
    public init(
        _ id: String, _ title: String, _ program: String, since: String = "6.12",
        needs: [Feature] = [], _ rejection: Rejection,
        file: String = #fileID, line: Int = #line
    ) {
        self.id = id
        self.title = title
        self.program = program
        self.since = since
        self.needs = needs
        self.rejection = rejection
        place = (file, line)
    }

    /// The line as a case.
    ///
    /// - Parameter common: what all programs of the object need.
    public func asCase(_ object: String, spec: String? = nil, needs common: [Feature]) -> Case {
        Case(id, title, spec: spec.map { [$0] } ?? [Self.spec(id)], since: since, needs: common + needs) { test in
            test.expect(object, program: program, refused: rejection, file: place.file, line: place.line)
        }
    }

    /// `K-018` for `K-018.xdp`.
    private static func spec(_ id: String) -> String {
        String(id.prefix { $0 != "." })
    }
}
