// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// The one suite without a fault: says what a restored machine must not have kept of its zygote.
enum Clock {
    static let suite = "check.clock"
    private static let titles = [
        ("now", "the guest's time and a random number"), ("steady", "how long ten seconds are in the guest"),
    ]

    static var listing: String {
        let cases = titles.map { #"{"id":"\#($0.0)","title":"\#($0.1)","spec":[],"since":null,"needs":[]}"# }
        return #"{"suite":"\#(suite)","title":"a restored guest's time","cases":[\#(cases.joined(separator: ","))]}"#
            + "\n"
    }

    /// Carries out one case; the values are in the diagnostics of its result.
    static func run(_ name: String, number: Int) {
        let start = nanoseconds
        switch name {
        case "now":
            var random = SystemRandomNumberGenerator()
            report(["realtime_ns": "\(start)", "random": String(random.next() as UInt64, radix: 16)])
        case "steady":
            // No signal comes; and one that came would show in what is reported.
            sleep(10)
            report(["elapsed_ns": "\(nanoseconds - start)"])
        default: exit(2)
        }
        Main.say("ok \(number) \(name) \(titles.first { $0.0 == name }?.1 ?? "")\n")
    }

    private static var nanoseconds: Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    private static func report(_ values: [String: String]) {
        Main.say("# ---\n" + values.map { "# \($0.key): \"\($0.value)\"\n" }.joined() + "# ...\n")
    }
}
