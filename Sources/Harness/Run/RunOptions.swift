// SPDX-License-Identifier: Apache-2.0
public import SystemPackage
public import VMRunner

/// How a run is to be carried out.
public struct RunOptions: Sendable {
    public var settings = MachineSettings()
    /// nil: KVM where it works, else TCG.
    public var accelerator: Accelerator?
    /// Time for the whole run; nil: no limit.
    public var runLimit: Duration?
    /// Time for one case, from its announcement to its result.
    public var caseLimit = Duration.seconds(60)
    /// Time from QEMU's start to the guest's hello.
    public var bootLimit = Duration.seconds(120)
    public var keepMachineOnFailure = false
    public var isolation = Isolation.suite
    /// Machines at once; nil: as many as processors and memory allow.
    public var jobs: Int?
    /// How often every case is run.
    public var repeats = 1
    /// Repeat until a case fails; `repeats` above 1 is then the most rounds.
    public var untilFailure = false
    /// Seed of a random order of suites and cases; nil: the catalogue's order.
    public var seed: UInt64?
    /// How often a failed case is run again alone, where it does not fail at once; 0: not at all.
    public var reruns = 5
    /// Restore machines from a frozen one, instead of booting each.
    public var usesZygotes = true
    /// The command line's options about machines, as given: part of the command that runs a case alone.
    public var machineWords: [String] = []
    /// What is done when a kernel breaks.
    public var crashes = CrashOptions()
    /// What cases say for their logs goes to ours too.
    public var showsCaseLogs = false
    /// Agents' own words and the kernel's console go to the log too.
    public var verbose = false

    public init() {}
}

/// A program that carries out suites in the guest.
public struct Agent: Sendable, Equatable {
    /// Static executable on the host.
    public var file: FilePath
    /// Where it goes in the guest.
    public var guestPath: String
    /// Our own: its cases can be listed without a guest.
    public var isBuiltIn: Bool

    static let builtInPath = "/run/bpftest/agent"

    public static func builtIn(_ files: GuestFiles) -> Agent {
        Agent(file: files.agent, guestPath: builtInPath, isBuiltIn: true)
    }

    public static func file(_ path: FilePath, number: Int) -> Agent {
        Agent(file: path, guestPath: "/run/bpftest/agent-\(number)", isBuiltIn: false)
    }
}

/// Cases of one suite to be run by one agent.
public struct Selection: Sendable {
    public var agent: Agent
    public var suite: SuiteListing
    public var cases: [SuiteListing.CaseListing]
    /// The object file that the suite is made of; nil for a suite of the agent's own.
    public var object: ObjectFile?
    /// What its cases find in the machine besides.
    public var files: [GuestFile] = []
    /// Files that many of a run's cases share: all of its machines have them.
    public var frozenFiles: [GuestFile] = []
    /// A program that is not an agent: its only case turns into as many as it reports.
    public var program: ProgramCall?

    public init(
        agent: Agent, suite: SuiteListing, cases: [SuiteListing.CaseListing], object: ObjectFile? = nil
    ) {
        self.agent = agent
        self.suite = suite
        self.cases = cases
        self.object = object
    }

    /// What names one of the cases on a command line.
    public func name(of id: String) -> String {
        "\(object?.given ?? suite.suite)/\(id)"
    }
}

/// A kernel with its guest image, ready to boot.
public struct PreparedKernel: Sendable {
    public var build: KernelBuild
    public var image: GuestImage
    /// As the user named it: what `-k` takes again.
    public var spec: String
    /// Words for the end of its command line, beside those that all kernels get.
    public var arguments: [String] = []

    public init(build: KernelBuild, image: GuestImage, spec: String) {
        self.build = build
        self.image = image
        self.spec = spec
    }

    var identity: KernelIdentity {
        KernelIdentity(name: build.release, spec: spec, version: "\(build.version)", origin: build.origin)
    }

    var files: BootFiles { BootFiles(kernel: build.image.path, initramfs: image.path) }
}
