// SPDX-License-Identifier: Apache-2.0

/// A place in a list: a program, and the link that holds it (0: none).
public struct MprogSlot: Sendable, Hashable {
    public var program: UInt8
    public var link: UInt8

    public init(_ program: Int, link: Int = 0) {
        self.program = UInt8(program)
        self.link = UInt8(link)
    }
}

/// What a position is relative to, after it has been looked up.
struct MprogAnchor: Equatable {
    /// 0: none was given.
    var program = 0
    var link = 0

    /// Stands for the program of another type, which is in no list.
    static let otherType = 255
}

/// One list of programs, as kernel/bpf/mprog.c keeps it.
///
/// - Source: docs/semantics/mprog.md, section 4.
struct MprogList: Equatable {
    static let limit = 63

    var slots: [MprogSlot] = []
    var revision: UInt64 = 1

    /// Steps 4 to 10 of an attach.
    ///
    /// - Parameters:
    ///   - old: what REPLACE is to take the place of.
    ///   - anchor: what came of looking it up: done after the revision and the new program have been looked at, and
    ///     without effect, so that it may be done before.
    mutating func attach(
        _ new: MprogSlot, over old: MprogSlot, _ flags: MprogFlags, _ anchor: Result<MprogAnchor, MprogRefusal>,
        revision expected: UInt64
    ) -> ErrorNumber {
        if expected != 0, expected != revision { return .stale }
        if slots.contains(where: { $0.program == new.program }) { return .exists }
        let relative: MprogAnchor
        switch anchor {
        case .success(let found): relative = found
        case .failure(let refusal): return refusal.errno
        }
        var index: Int?
        if flags.contains(.replace) {
            switch exact(old) {
            case .success(let found): index = found
            case .failure(let refusal): return refusal.errno
            }
        } else if slots.count == Self.limit {
            return .range
        }
        if let errno = agree(&index, flags, relative) { return errno }
        if index == nil, relative.program != 0 || !flags.isEmpty { return .invalid }
        let place = index ?? slots.count
        if place >= Self.limit { return .range }
        if flags.contains(.replace) {
            slots[place] = new
        } else {
            slots.insert(new, at: place == slots.count || !flags.contains(.before) ? place : place + 1)
        }
        revision += 1
        return .none
    }

    /// A detach, from the revision on.
    ///
    /// - Parameter program: 0 leaves the choice to the position.
    mutating func detach(
        program: Int, _ flags: MprogFlags, _ anchor: Result<MprogAnchor, MprogRefusal>, revision expected: UInt64
    ) -> ErrorNumber {
        if flags.contains(.replace) { return .invalid }
        if expected != 0, expected != revision { return .stale }
        if slots.isEmpty { return .noEntry }
        let relative: MprogAnchor
        switch anchor {
        case .success(let found): relative = found
        case .failure(let refusal): return refusal.errno
        }
        var index: Int?
        if program != 0 {
            switch exact(MprogSlot(program)) {
            case .success(let found): index = found
            case .failure(let refusal): return refusal.errno
            }
        }
        if let errno = agree(&index, flags, relative) { return errno }
        if index == nil, relative.program != 0 || !flags.isEmpty { return .invalid }
        let place = index ?? slots.count
        if place >= Self.limit { return .range }
        // Before the first is the first, behind the last is the last.
        let victim = min(max(place, 0), slots.count - 1)
        if slots[victim].link != 0 { return .busy }
        slots.remove(at: victim)
        revision += 1
        return .none
    }

    /// What a link that lets go takes with it.
    mutating func release(link: Int) {
        slots.removeAll { $0.link == UInt8(link) }
        revision += 1
    }

    private func exact(_ wanted: MprogSlot) -> Result<Int, MprogRefusal> {
        guard wanted.program != 0, let index = slots.firstIndex(where: { $0.program == wanted.program }) else {
            return .failure(MprogRefusal(.noEntry))
        }
        return slots[index].link == wanted.link ? .success(index) : .failure(MprogRefusal(.busy))
    }

    /// Steps 8 and 9: every rule about the position must come to the same one.
    private func agree(_ index: inout Int?, _ flags: MprogFlags, _ anchor: MprogAnchor) -> ErrorNumber? {
        for (flag, offset, end) in [(MprogFlags.before, -1, -1), (.after, 1, slots.count)] where flags.contains(flag) {
            var place = end
            if anchor.program != 0 {
                guard
                    let found = slots.firstIndex(where: {
                        $0.program == UInt8(anchor.program) && (anchor.link == 0 || $0.link == UInt8(anchor.link))
                    })
                else { return .noEntry }
                place = found + offset
            }
            if let known = index, known != place { return .range }
            index = place
        }
        return nil
    }
}

/// An errno as an error.
struct MprogRefusal: Error, Equatable {
    let errno: ErrorNumber

    init(_ errno: ErrorNumber) {
        self.errno = errno
    }
}
