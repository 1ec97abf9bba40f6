// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// The far ends of a machine's network cards, on a thread of their own: puts frames on the wires and collects what
/// the cards transmit, as the guest says on a virtio-serial port. docs/drivers.md, "The wire".
///
/// The guest is not trusted: what it can make this process hold is bounded, and what makes no sense is refused.
/// Nothing is lost for lack of room: what does not fit waits where it comes from.
final class Wire: Sendable {
    private let stop: OwnedFD

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - port: our end of the port, non-blocking.
    ///   - cables: our ends of the cards' sockets, non-blocking, in the order of the cards.
    ///   - cards: their kinds.
    init(port: Cable, cables: [Cable], cards: [NetworkCard]) throws(Errno) {
        stop = try Descriptors.event()
        let sign = try stop.duplicate()
        let exchange = Exchange(
            port: port, cables: cables, cards: cards.map(\.rawValue), stop: sign)
        let body = Mutex<Exchange?>(exchange)
        let thread = Thread {
            let exchange = body.withLock { state in
                defer { state = nil }
                return state
            }
            exchange?.run()
        }
        thread.name = "bpftest-wire"
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Ends the thread; the sockets are closed by it.
    deinit {
        stop.signal()
    }

    /// An end of a socket, closed with its last owner.
    final class Cable: Sendable {
        let socket: OwnedFD

        init(_ socket: consuming OwnedFD) {
            self.socket = socket
        }
    }
}

/// Both ends of the port and of the cards' sockets, until QEMU has its own.
struct Wiring {
    private let cards: [NetworkCard]
    /// The port's first.
    private let ours: [Wire.Cable]
    private let theirs: [Wire.Cable]

    init(cards: [NetworkCard]) throws(Errno) {
        self.cards = cards
        var ours: [Wire.Cable] = []
        var theirs: [Wire.Cable] = []
        for _ in 0...cards.count {
            let pair = try Descriptors.socketPair()
            try pair.first.setNonBlocking()
            ours.append(Wire.Cable(pair.first))
            theirs.append(Wire.Cable(pair.second))
        }
        self.ours = ours
        self.theirs = theirs
    }

    /// Hands QEMU its ends, under numbers from one on.
    func add(to spawn: inout Spawn, from number: CInt) {
        for (index, cable) in theirs.enumerated() { spawn.descriptors[number + CInt(index)] = cable.socket.raw }
    }

    /// Starts to serve our ends; QEMU's are closed here when this value goes away.
    func connect() throws(Errno) -> Wire {
        try Wire(port: ours[0], cables: Array(ours.dropFirst()), cards: cards)
    }
}
