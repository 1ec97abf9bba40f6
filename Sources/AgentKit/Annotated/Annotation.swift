// SPDX-License-Identifier: Apache-2.0

/// One annotation of a program: a `btf_decl_tag` that begins with `comment:`, in any of the encodings in use.
///
/// - Source: docs/semantics/upstream-map.md, "Annotations".
struct Annotation: Equatable {
    enum Key: String, CaseIterable {
        case success = "test_expect_success"
        case failure = "test_expect_failure"
        case message = "test_expect_msg"
        /// A message that is a regular expression as a whole; in kernels of 6.9 to 6.11 alone.
        case regex = "test_expect_regex"
        case notMessage = "test_expect_not_msg"
        case xlated = "test_expect_xlated"
        case jited = "test_jited"
        case standardOutput = "test_expect_stdout"
        case standardError = "test_expect_stderr"
        case retval = "test_retval"
        case auxiliary = "test_auxiliary"
        case capabilities = "test_caps"
        case description = "test_description"
        case logLevel = "test_log_level"
        case flags = "test_prog_flags"
        case btfPath = "test_btf_path"
        case btfFunctionPath = "test_btf_func_path"
        case arch = "test_arch"
        case linearSize = "test_linear_size"
        case loadMode = "load_mode"

        /// Whether the key has a second form with `_unpriv`.
        var hasUnprivileged: Bool {
            switch self {
            case .success, .failure, .message, .regex, .notMessage, .xlated, .jited, .standardOutput, .standardError,
                .retval, .auxiliary, .capabilities:
                true
            case .description, .logLevel, .flags, .btfPath, .btfFunctionPath, .arch, .linearSize, .loadMode: false
            }
        }

        var takesValue: Bool {
            switch self {
            case .success, .failure, .auxiliary: false
            default: true
            }
        }

        /// Whether 6.12 puts a number before the value, to keep equal texts apart.
        var isCounted: Bool {
            switch self {
            case .message, .regex, .notMessage, .xlated, .jited, .standardOutput, .standardError: true
            default: false
            }
        }
    }

    var key: Key
    var isUnprivileged: Bool
    var value: String
    /// The number in the tag: the order of the source text.
    var number: Int?

    /// What is wrong with an annotation, in words.
    struct Problem: Error, Equatable {
        var text: String
    }

    /// Reads a tag.
    ///
    /// - Returns: nil for a tag that is no annotation, such as `arg:ctx`.
    static func read(_ tag: String) throws(Problem) -> Annotation? {
        guard tag.hasPrefix("comment:") else { return nil }
        var rest = tag.dropFirst("comment:".count)
        var number: Int?
        // 7.x: the number comes first, in every tag.
        if let (digits, text) = numberAndRest(rest, ":") {
            number = digits
            rest = text
        }
        let equals = rest.firstIndex(of: "=")
        let name = rest[..<(equals ?? rest.endIndex)]
        var value = equals.map { rest[rest.index(after: $0)...] }
        guard let (key, isUnprivileged) = key(name) else { throw Problem(text: "unknown annotation \(tag)") }
        guard key.takesValue == (value != nil) else {
            throw Problem(text: "annotation \(tag) \(key.takesValue ? "lacks its value" : "takes no value")")
        }
        // 6.12: the number comes behind the key, of those that may occur twice.
        if key.isCounted, number == nil, let text = value, let (digits, after) = numberAndRest(text, "=") {
            number = digits
            value = after
        }
        return Annotation(key: key, isUnprivileged: isUnprivileged, value: String(value ?? ""), number: number)
    }

    private static func key(_ name: Substring) -> (Key, Bool)? {
        let suffix = "_unpriv"
        if name.hasSuffix(suffix), let key = Key(rawValue: String(name.dropLast(suffix.count))), key.hasUnprivileged {
            return (key, true)
        }
        // There are capabilities of the unprivileged run only.
        guard let key = Key(rawValue: String(name)), key != .capabilities else { return nil }
        return (key, false)
    }

    private static func numberAndRest(_ text: Substring, _ separator: Character) -> (Int, Substring)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), text[digits.endIndex...].first == separator else { return nil }
        return (number, text[text.index(after: digits.endIndex)...])
    }

    /// Reads all tags of a program, in the order of its source text where numbers tell it.
    static func read(all tags: [String]) throws(Problem) -> [Annotation] {
        var found: [Annotation] = []
        for tag in tags {
            if let one = try read(tag) { found.append(one) }
        }
        // Those without a number stay where they are: 6.12 numbers messages alone.
        let places = found.indices.filter { found[$0].number != nil }
        let ordered = places.map { found[$0] }.enumerated().sorted { one, other in
            (one.element.number ?? 0, one.offset) < (other.element.number ?? 0, other.offset)
        }
        for (place, one) in zip(places, ordered) { found[place] = one.element }
        return found
    }
}
