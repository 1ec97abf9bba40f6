// SPDX-License-Identifier: Apache-2.0
internal import TOMLKit

/// A table of a TOML file that is read key by key; what nobody asked for is an error in the end.
struct TOMLSection {
    let table: TOMLTable
    /// As messages call it: empty for the whole file, `[defaults]`.
    let name: String
    let file: String
    private var known: [String] = []

    init(_ table: TOMLTable, name: String, file: String) {
        self.table = table
        self.name = name
        self.file = file
    }

    /// Parses a file's text.
    static func parse(_ text: String, file: String) throws(HarnessError) -> TOMLSection {
        do {
            return TOMLSection(try TOMLTable(string: text), name: "", file: file)
        } catch let error as TOMLParseError {
            throw .usage("\(file):\(error.source.begin.line): \(error.description)")
        } catch {
            throw .usage("\(file): \(error)")
        }
    }

    private func wrong(_ key: String, wants: String) -> HarnessError {
        .usage("\(file): \(place(key)) wants \(wants)")
    }

    /// A key as messages name it.
    func place(_ key: String) -> String { name.isEmpty ? "'\(key)'" : "'\(key)' in \(name)" }

    mutating func string(_ key: String) throws(HarnessError) -> String? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let text = value.string else { throw wrong(key, wants: "a string") }
        return text
    }

    mutating func strings(_ key: String) throws(HarnessError) -> [String]? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let array = value.array else { throw wrong(key, wants: "an array of strings") }
        var texts: [String] = []
        for element in array {
            guard let text = element.string else { throw wrong(key, wants: "an array of strings") }
            texts.append(text)
        }
        return texts
    }

    mutating func boolean(_ key: String) throws(HarnessError) -> Bool? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let flag = value.bool else { throw wrong(key, wants: "true or false") }
        return flag
    }

    /// Whether a key is there, without asking for it.
    func has(_ key: String) -> Bool { table[key] != nil }

    /// Whether a key is there and is a table, without asking for it.
    func hasTable(_ key: String) -> Bool { table[key]?.table != nil }

    /// A table whose keys are all names of the user's: strings, or arrays of them.
    func lists() throws(HarnessError) -> [String: [String]] {
        var found: [String: [String]] = [:]
        for key in table.keys {
            if let text = table[key]?.string {
                found[key] = [text]
                continue
            }
            if table[key]?.table != nil {
                throw .usage("\(file): \(place(key)) wants a name with dots in quotation marks: \"6.12.30\" = …")
            }
            guard let array = table[key]?.array else { throw wrong(key, wants: "a string or an array of strings") }
            var texts: [String] = []
            for element in array {
                guard let text = element.string else { throw wrong(key, wants: "a string or an array of strings") }
                texts.append(text)
            }
            found[key] = texts
        }
        return found
    }

    /// What an array holds that may have both strings and tables.
    enum Entry {
        case text(String)
        case section(TOMLSection)
    }

    mutating func entries(_ key: String) throws(HarnessError) -> [Entry] {
        known.append(key)
        guard let value = table[key] else { return [] }
        guard let array = value.array else { throw wrong(key, wants: "an array of strings and tables") }
        var found: [Entry] = []
        for (number, element) in array.enumerated() {
            if let text = element.string {
                found.append(.text(text))
            } else if let inner = element.table {
                found.append(.section(TOMLSection(inner, name: "[[\(key)]] number \(number + 1)", file: file)))
            } else {
                throw wrong(key, wants: "an array of strings and tables")
            }
        }
        return found
    }

    mutating func integer(_ key: String, in range: ClosedRange<Int>) throws(HarnessError) -> Int? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let number = value.int, range.contains(number) else {
            throw wrong(key, wants: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A time in seconds.
    mutating func seconds(_ key: String) throws(HarnessError) -> Double? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let number = value.double ?? value.int.map({ Double($0) }), number > 0, number < 1e7 else {
            throw wrong(key, wants: "a number of seconds above 0")
        }
        return number
    }

    /// A date, as TOML writes it or in quotation marks: YYYY-MM-DD.
    mutating func date(_ key: String) throws(HarnessError) -> String? {
        known.append(key)
        guard let value = table[key] else { return nil }
        let text: String
        if let date = value.date {
            func digits(_ number: Int, _ count: Int) -> String {
                String(repeating: "0", count: max(0, count - String(number).count)) + String(number)
            }
            text = "\(digits(date.year, 4))-\(digits(date.month, 2))-\(digits(date.day, 2))"
        } else if let given = value.string {
            text = given
        } else {
            throw wrong(key, wants: "a date such as 2027-01-31")
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
        guard text.utf8.count == 10, parts.count == 3, parts[0] > 1999, 1...12 ~= parts[1], 1...31 ~= parts[2] else {
            throw wrong(key, wants: "a date such as 2027-01-31")
        }
        return text
    }

    /// A table of its own.
    mutating func section(_ key: String) throws(HarnessError) -> TOMLSection? {
        known.append(key)
        guard let value = table[key] else { return nil }
        guard let inner = value.table else { throw wrong(key, wants: "a table: [\(key)]") }
        return TOMLSection(inner, name: "[\(key)]", file: file)
    }

    /// Tables under names of the user's: `[kernel."6.12"]`.
    mutating func sections(_ key: String) throws(HarnessError) -> [(name: String, section: TOMLSection)] {
        known.append(key)
        guard let value = table[key] else { return [] }
        guard let outer = value.table else { throw wrong(key, wants: "tables: [\(key).\"NAME\"]") }
        var found: [(name: String, section: TOMLSection)] = []
        for name in outer.keys.sorted() {
            guard let inner = outer[name]?.table else {
                throw .usage("\(file): \(place(key)) wants tables: [\(key).\"\(name)\"]")
            }
            found.append((name, TOMLSection(inner, name: "[\(key).\"\(name)\"]", file: file)))
        }
        return found
    }

    /// Tables in a row: `[[known]]`.
    mutating func list(_ key: String) throws(HarnessError) -> [TOMLSection] {
        known.append(key)
        guard let value = table[key] else { return [] }
        guard let array = value.array else { throw wrong(key, wants: "tables in a row: [[\(key)]]") }
        var found: [TOMLSection] = []
        for (number, element) in array.enumerated() {
            guard let inner = element.table else { throw wrong(key, wants: "tables in a row: [[\(key)]]") }
            found.append(TOMLSection(inner, name: "[[\(key)]] number \(number + 1)", file: file))
        }
        return found
    }

    /// Nothing more is asked for.
    ///
    /// - Throws: `.usage` for a key that means nothing, with the one that it may be meant for.
    func finish() throws(HarnessError) {
        for key in table.keys where !known.contains(key) {
            let near = Spelling.nearest(to: key, among: known).map { ": is it '\($0)'?" }
            let all = "; known here: \(known.sorted().joined(separator: ", "))"
            throw .usage("\(file): \(place(key)) is unknown\(near ?? all)")
        }
    }
}

/// What was meant by a word that nobody knows.
enum Spelling {
    /// - Returns: nil where nothing is near: more than a third of the letters would have to change.
    static func nearest(to word: String, among words: [String]) -> String? {
        let ranked = words.map { (distance: distance(word, $0), word: $0) }.min { $0 < $1 }
        guard let ranked, ranked.distance <= max(1, word.count / 3) else { return nil }
        return ranked.word
    }

    /// Letters to insert, remove or change, or neighbours to swap, to make one word of the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let a = Array(left.utf8)
        let b = Array(right.utf8)
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
