// SPDX-License-Identifier: Apache-2.0

extension MprogStep: CustomStringConvertible {
    public var description: String {
        switch self {
        case .attach(let place, let request): "attach \(place) \(request)"
        case .link(let number, let place, let request): "link L\(number) \(place) \(request)"
        case .detach(let place, let request): "detach \(place) \(request)"
        case .update(let number, let to, let flags, let old):
            "update L\(number) \(to)" + (flags.isEmpty ? "" : " flags \(flags)") + (old == .none ? "" : " old \(old)")
        case .unlink(let number): "unlink L\(number)"
        case .close(let number): "close L\(number)"
        case .query(let place, let room, let flags):
            "query \(place) room \(room)" + (flags == 0 ? "" : " flags \(MprogFlags(rawValue: flags))")
        case .remake(let device): "remake \(device.rawValue)"
        case .clsact(let device, let isThere): "clsact \(device.rawValue) \(isThere ? "on" : "off")"
        }
    }

    public init(text: String) throws(ScriptError) {
        var words = Words(text)
        let verb = try words.next("an operation")
        switch verb {
        case "attach": self = .attach(try words.place(), try words.request())
        case "link": self = .link(try words.link(), try words.place(), try words.request())
        case "detach": self = .detach(try words.place(), try words.request())
        case "update":
            let number = try words.link()
            let to = try words.thing()
            var flags: MprogFlags = []
            var old = Thing.none
            while let key = words.nextIfAny() {
                switch key {
                case "flags": flags = try words.flags()
                case "old": old = try words.thing()
                default: throw ScriptError("unknown word \(key) in an update")
                }
            }
            self = .update(number, to: to, flags: flags, old: old)
        case "unlink": self = .unlink(try words.link())
        case "close": self = .close(try words.link())
        case "query":
            let place = try words.place()
            let (room, flags) = try words.roomAndFlags()
            self = .query(place, room: room, flags: flags)
        case "remake": self = .remake(try words.device(in: [.a, .b]))
        case "clsact":
            let device = try words.device(in: [.a, .b])
            let state = try words.next("on or off")
            guard state == "on" || state == "off" else { throw ScriptError("clsact is on or off, not \(state)") }
            self = .clsact(device, isThere: state == "on")
        default: throw ScriptError("unknown operation \(verb)")
        }
        try words.end()
    }

    public var simpler: [MprogStep] {
        switch self {
        case .attach(let place, let request): request.simpler.map { .attach(place, $0) }
        case .link(let number, let place, let request): request.simpler.map { .link(number, place, $0) }
        case .detach(let place, let request): request.simpler.map { .detach(place, $0) }
        case .update(let number, let to, let flags, let old) where !flags.isEmpty || old != .none:
            [.update(number, to: to, flags: [], old: .none)]
        case .update, .unlink, .close, .query, .remake, .clsact: []
        }
    }
}

extension MprogRequest: CustomStringConvertible {
    public var description: String {
        var text = "\(program)"
        if !flags.isEmpty { text += " flags \(flags)" }
        if anchor != .none { text += " anchor \(anchor)" }
        if replace != .none { text += " replace \(replace)" }
        if revision != .any { text += " revision \(revision)" }
        return text
    }

    var simpler: [MprogRequest] {
        var all: [MprogRequest] = []
        let add = { (change: (inout MprogRequest) -> Void) in
            var one = self
            change(&one)
            if one != self { all.append(one) }
        }
        add { $0 = MprogRequest($0.program) }
        add { $0.revision = .any }
        add { $0.replace = .none }
        add { $0.anchor = .none }
        for bit in 0..<32 where flags.rawValue & 1 << bit != 0 {
            add { $0.flags.remove(MprogFlags(rawValue: 1 << UInt32(bit))) }
        }
        return all
    }
}

extension Thing: CustomStringConvertible {
    public var description: String {
        switch self {
        case .none: "-"
        case .program(let number): "P\(number)"
        case .link(let number): "L\(number)"
        case .map: "map"
        case .otherType: "other"
        case .closed: "closed"
        }
    }
}

extension MprogPlace: CustomStringConvertible {
    public var description: String { "\(device.rawValue).\(hook.rawValue)" }
}

extension MprogRevision: CustomStringConvertible {
    public var description: String {
        switch self {
        case .any: "any"
        case .exactly(let number): "\(number)"
        case .right(0): "right"
        case .right(let offset): offset > 0 ? "right+\(offset)" : "right\(offset)"
        }
    }
}

extension MprogFlags: CustomStringConvertible {
    static let names: [(MprogFlags, String)] = [
        (.allowOverride, "OVERRIDE"), (.allowMulti, "MULTI"), (.replace, "REPLACE"), (.before, "BEFORE"),
        (.after, "AFTER"), (.id, "ID"), (.preorder, "PREORDER"), (.link, "LINK"),
    ]

    public var description: String {
        var known = Self.names.filter { contains($0.0) }.map(\.1)
        let rest = Self.names.reduce(rawValue) { $0 & ~$1.0.rawValue }
        if rest != 0 { known.append("0x" + String(rest, radix: 16)) }
        return known.isEmpty ? "0" : known.joined(separator: "|")
    }
}

/// The words of a line, read one after another.
struct Words {
    private var rest: ArraySlice<Substring>

    init(_ text: String) {
        rest = text.split(whereSeparator: \.isWhitespace)[...]
    }

    mutating func nextIfAny() -> String? {
        rest.popFirst().map(String.init)
    }

    mutating func next(_ what: String) throws(ScriptError) -> String {
        guard let word = nextIfAny() else { throw ScriptError("\(what) is missing at the end") }
        return word
    }

    func end() throws(ScriptError) {
        if let word = rest.first { throw ScriptError("\(word) was not expected") }
    }

    mutating func number(_ range: ClosedRange<Int>) throws(ScriptError) -> Int {
        let word = try next("a number")
        guard let number = Int(word), range.contains(number) else {
            throw ScriptError("\(word) is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func numbered(_ word: String, _ letter: Character, upTo highest: Int) -> Int? {
        guard word.first == letter, let number = Int(word.dropFirst()), (1...highest).contains(number) else {
            return nil
        }
        return number
    }

    mutating func link() throws(ScriptError) -> Int {
        let word = try next("a link")
        guard let number = Self.numbered(word, "L", upTo: MprogStep.links) else {
            throw ScriptError("\(word) is no link: L1 to L\(MprogStep.links)")
        }
        return number
    }

    mutating func thing() throws(ScriptError) -> Thing {
        let word = try next("a program")
        switch word {
        case "-": return .none
        case "map": return .map
        case "other": return .otherType
        case "closed": return .closed
        default:
            if let number = Self.numbered(word, "P", upTo: MprogStep.programs) { return .program(number) }
            if let number = Self.numbered(word, "L", upTo: MprogStep.links) { return .link(number) }
            throw ScriptError(
                "\(word) is none of P1 to P\(MprogStep.programs), L1 to L\(MprogStep.links), map, other, closed, -")
        }
    }

    mutating func device(in known: [MprogDevice] = MprogDevice.allCases) throws(ScriptError) -> MprogDevice {
        let word = try next("a device")
        guard let device = MprogDevice(rawValue: word), known.contains(device) else {
            throw ScriptError("\(word) is none of the devices \(known.map(\.rawValue).joined(separator: ", "))")
        }
        return device
    }

    mutating func place() throws(ScriptError) -> MprogPlace {
        let word = try next("a list")
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let device = MprogDevice(rawValue: String(parts[0])),
            let hook = MprogHook(rawValue: String(parts[1]))
        else { throw ScriptError("\(word) is no list such as A.ingress or B.peer") }
        return MprogPlace(device, hook)
    }

    mutating func flags() throws(ScriptError) -> MprogFlags {
        var flags: MprogFlags = []
        for word in try next("flags").split(separator: "|", omittingEmptySubsequences: false) {
            if let known = MprogFlags.names.first(where: { $0.1 == word }) {
                flags.insert(known.0)
            } else if word.hasPrefix("0x"), let bits = UInt32(word.dropFirst(2), radix: 16) {
                flags.formUnion(MprogFlags(rawValue: bits))
            } else if word != "0" {
                throw ScriptError("unknown flag \(word)")
            }
        }
        return flags
    }

    mutating func roomAndFlags() throws(ScriptError) -> (Int, UInt32) {
        var room = 64
        var bits: UInt32 = 0
        while let key = nextIfAny() {
            switch key {
            case "room": room = try number(0...1000)
            case "flags": bits = try flags().rawValue
            default: throw ScriptError("unknown word \(key) in a query")
            }
        }
        return (room, bits)
    }

    mutating func revision() throws(ScriptError) -> MprogRevision {
        let word = try next("a revision")
        if word == "any" { return .any }
        if word.hasPrefix("right") {
            let offset = word.dropFirst(5)
            if offset.isEmpty { return .right(0) }
            if offset.first == "+" || offset.first == "-", let number = Int64(offset) { return .right(number) }
        } else if let number = UInt64(word) {
            return .exactly(number)
        }
        throw ScriptError("\(word) is no revision: a number, right, right+1, right-1")
    }

    mutating func request() throws(ScriptError) -> MprogRequest {
        var request = MprogRequest(try thing())
        while let key = nextIfAny() {
            switch key {
            case "flags": request.flags = try flags()
            case "anchor": request.anchor = try thing()
            case "replace": request.replace = try thing()
            case "revision": request.revision = try revision()
            default: throw ScriptError("unknown word \(key); known: flags, anchor, replace, revision")
            }
        }
        return request
    }
}
