// SPDX-License-Identifier: Apache-2.0

/// A part of a kernel's .config: what some purpose needs. Lines as in a .config, `# CONFIG_X is not set` too.
struct ConfigFragment: Sendable, Equatable {
    /// As the user knows it: `base`, or a file's path.
    var name: String
    /// Option -> value; nil: not set.
    var settings: [(option: String, value: String?)]

    init(name: String, text: String) {
        self.name = name
        settings = text.split(whereSeparator: \.isNewline).compactMap(Self.setting)
    }

    static func == (left: ConfigFragment, right: ConfigFragment) -> Bool {
        left.name == right.name && left.settings.elementsEqual(right.settings, by: ==)
    }

    private static func setting(_ line: Substring) -> (option: String, value: String?)? {
        if line.hasPrefix("CONFIG_"), let equals = line.firstIndex(of: "=") {
            let value = line[line.index(after: equals)...]
            return (String(line[..<equals]), value == "n" ? nil : String(value))
        }
        guard line.hasPrefix("# CONFIG_"), line.hasSuffix(" is not set") else { return nil }
        return (String(line.dropFirst(2).dropLast(" is not set".count)), nil)
    }

    /// A .config with the fragments' settings in it, for `make olddefconfig` to complete.
    ///
    /// Of an option that is set several times the last setting holds. It comes at the end: of the options of a choice
    /// the last one set wins, wherever the others stand.
    static func merge(_ base: String, _ fragments: [ConfigFragment]) -> String {
        var order: [String] = []
        var values: [String: String?] = [:]
        for setting in fragments.flatMap(\.settings) {
            if values.updateValue(setting.value, forKey: setting.option) == nil { order.append(setting.option) }
        }
        var lines = base.split(whereSeparator: \.isNewline).filter { line in
            setting(line).map { values[$0.option] == nil } ?? true
        }.map(String.init)
        for option in order {
            if let value = values[option] ?? nil {
                lines.append("\(option)=\(value)")
            } else {
                lines.append("# \(option) is not set")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The settings that did not take in the finished .config.
    ///
    /// - Parameter known: the options that this source tree has: what it lacks is no fault of its configuration.
    func notTaken(in config: String, known: Set<String>) -> [String] {
        var values: [String: String] = [:]
        for line in config.split(whereSeparator: \.isNewline) {
            if let setting = Self.setting(line), let value = setting.value { values[setting.option] = value }
        }
        return settings.compactMap { option, value in
            let got = values[option]
            // Built in where a module was asked for serves as well.
            if got == value || (value == "m" && got == "y") || !known.contains(option) { return nil }
            return "\(option)=\(value ?? "n") (it is \(got ?? "n"))"
        }
    }

    /// The options that the text of a Kconfig file declares.
    static func options(inKconfig text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count == 2, words[0] == "config" || words[0] == "menuconfig" else { return nil }
            return "CONFIG_\(words[1])"
        }
    }
}
