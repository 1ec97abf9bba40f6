// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

/// What every Swift target of this package is compiled with.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// Guest executables are static: a guest image holds no libraries. The flag selects the toolchain's
/// static run-time library when compiling and when linking.
let guestSwift = strict + [.unsafeFlags(["-static-executable"])]
let guestLinker: [LinkerSetting] = [.unsafeFlags(["-static-executable"])]
/// Has libbpf take the kernel's BTF from Sources/CBtfCache; an agent without it works, and takes longer.
let cachesBTF: [LinkerSetting] = [
    .unsafeFlags(
        ["btf__load_vmlinux_btf", "btf__free", "btf__find_by_name_kind"].flatMap { ["-Xlinker", "--wrap=\($0)"] })
]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "bpftest",
    products: [
        .executable(name: "bpftest", targets: ["bpftest"]),
        .library(name: "AgentKit", targets: ["AgentKit"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Shared by host and guest.
        .target(name: "CLinux"),
        .target(name: "LinuxIO", dependencies: ["CLinux", system], swiftSettings: strict),
        .target(name: "GuestProtocol", swiftSettings: strict),
        .target(name: "TAP", swiftSettings: strict),
        .target(name: "Exploration", swiftSettings: strict),
        .target(name: "BTF", swiftSettings: strict),

        // The guest's side: no Foundation.
        .systemLibrary(
            name: "CBpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev", "libelf-dev", "zlib1g-dev"])]),
        .target(name: "CBtfCache", dependencies: ["CBpf"]),
        .target(
            name: "AgentKit",
            dependencies: ["BTF", "TAP", "GuestProtocol", "LinuxIO", "CLinux", "CBpf", "CBtfCache", system],
            swiftSettings: strict),
        .target(name: "CGuestInit"),
        .target(
            name: "GuestInit", dependencies: ["GuestProtocol", "LinuxIO", "CLinux", "CGuestInit", system],
            swiftSettings: strict),
        .target(
            name: "MprogSuites", dependencies: ["AgentKit", "LinuxIO", system], path: "Sources/Agents/Mprog",
            swiftSettings: strict),
        .target(
            name: "KfuncSuites", dependencies: ["AgentKit", "BTF", "LinuxIO", system], path: "Sources/Agents/Kfuncs",
            swiftSettings: strict),
        .target(
            name: "KptrSuites", dependencies: ["AgentKit", "LinuxIO", system], path: "Sources/Agents/Kptr",
            swiftSettings: strict),
        .target(
            name: "DynptrSuites", dependencies: ["AgentKit", "LinuxIO", system], path: "Sources/Agents/Dynptrs",
            swiftSettings: strict),
        .target(
            name: "NamespaceSuites", dependencies: ["AgentKit", "LinuxIO", system], path: "Sources/Agents/Namespaces",
            swiftSettings: strict),
        .target(
            name: "HelperSuites", dependencies: ["AgentKit", "BTF", "LinuxIO", system], path: "Sources/Agents/Helpers",
            swiftSettings: strict),
        .target(
            name: "DriverSuites", dependencies: ["AgentKit", "LinuxIO", system], path: "Sources/Agents/Drivers",
            swiftSettings: strict),
        .target(
            name: "ExploreSuites", dependencies: ["AgentKit", "Exploration", "LinuxIO", system],
            path: "Sources/Agents/Explore", swiftSettings: strict),
        .executableTarget(
            name: "bpftest-init", dependencies: ["GuestInit"], swiftSettings: guestSwift, linkerSettings: guestLinker),
        .executableTarget(
            name: "bpftest-agent",
            dependencies: [
                "AgentKit", "MprogSuites", "KfuncSuites", "KptrSuites", "DynptrSuites", "NamespaceSuites",
                "HelperSuites", "DriverSuites", "ExploreSuites",
            ], swiftSettings: guestSwift, linkerSettings: guestLinker + cachesBTF),
        .executableTarget(name: "bpftest-faults", swiftSettings: guestSwift, linkerSettings: guestLinker),

        // The host's side.
        .systemLibrary(name: "CArchive", providers: [.apt(["libzstd-dev", "libmd-dev"])]),
        .target(name: "Archives", dependencies: ["CArchive", "Crashes", "LinuxIO", system], swiftSettings: strict),
        .target(
            name: "VMRunner", dependencies: ["GuestProtocol", "LinuxIO", "CLinux", system], swiftSettings: strict),
        .target(name: "Crashes", swiftSettings: strict),
        .target(
            name: "Harness",
            dependencies: [
                "Archives", "Crashes", "VMRunner", "GuestProtocol", "TAP", "LinuxIO", "Exploration", "BTF", system,
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ], swiftSettings: strict),
        .target(name: "TerminalUI", dependencies: ["Harness", system], swiftSettings: strict),
        .executableTarget(
            name: "bpftest-bench", dependencies: ["Harness", "VMRunner", "TAP", "LinuxIO", system],
            swiftSettings: strict),
        .executableTarget(
            name: "bpftest",
            dependencies: [
                "Harness", "TerminalUI", "VMRunner", "TAP", "LinuxIO", "Exploration", system,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            // Installed, it needs no Swift toolchain and no libsqlite3.
            swiftSettings: strict + [.unsafeFlags(["-static-stdlib"])],
            linkerSettings: [.unsafeFlags(["-static-stdlib", "-L\(Context.packageDirectory)/scripts/link"])]),

        // Pure tests and tests on real sockets and processes; VMTests boots real kernels.
        .testTarget(name: "ExplorationTests", dependencies: ["Exploration"], swiftSettings: strict),
        .testTarget(
            name: "ArchivesTests", dependencies: ["Archives", "CArchive", "Crashes", "LinuxIO", system],
            swiftSettings: strict),
        .testTarget(name: "TAPTests", dependencies: ["TAP"], swiftSettings: strict),
        .testTarget(name: "GuestProtocolTests", dependencies: ["GuestProtocol"], swiftSettings: strict),
        .testTarget(name: "LinuxIOTests", dependencies: ["LinuxIO", "CLinux", system], swiftSettings: strict),
        .testTarget(
            name: "CrashesTests", dependencies: ["Crashes"], swiftSettings: strict),
        .testTarget(
            name: "VMRunnerTests", dependencies: ["VMRunner", "GuestProtocol", "LinuxIO", system],
            swiftSettings: strict),
        .testTarget(
            name: "HarnessTests",
            dependencies: [
                "Harness", "Archives", "Crashes", "VMRunner", "TAP", "GuestProtocol", "LinuxIO", "BTF", system,
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .target(
            name: "TerminalModel", dependencies: ["LinuxIO", "CLinux", system], path: "Tests/Support/TerminalModel",
            swiftSettings: strict),
        .testTarget(
            name: "TerminalUITests", dependencies: ["TerminalUI", "TerminalModel", "Harness", "LinuxIO", system],
            swiftSettings: strict),
        .executableTarget(
            name: "agent-fixture", dependencies: ["AgentKit", "LinuxIO", system], path: "Tests/Support/AgentFixture",
            swiftSettings: strict),
        // Run in machines: no target depends on it, for what links with it would have to be static too.
        .executableTarget(
            name: "agent-leftovers", dependencies: ["AgentKit", "LinuxIO", system],
            path: "Tests/Support/AgentLeftovers", swiftSettings: guestSwift, linkerSettings: guestLinker),
        .testTarget(
            name: "AgentKitTests", dependencies: ["AgentKit", "CLinux", "TAP", "LinuxIO", "agent-fixture", system],
            swiftSettings: strict),
        .testTarget(
            name: "VMTests", dependencies: ["Harness", "VMRunner", "TAP", "LinuxIO", "TerminalModel", system],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
