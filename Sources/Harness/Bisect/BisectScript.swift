// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// A script for `git bisect run`, for those who drive git themselves.
public enum BisectScript {
    /// - Parameters:
    ///   - builds: whether each commit gets a minimal kernel, as `kernels build` makes it; else the tree is built with
    ///     its own .config.
    ///   - arguments: suites, cases, objects and options, as `bpftest run` takes them.
    public static func text(executable: String, builds: Bool, fragments: [String], arguments: [String]) -> String {
        let bpftest = shellQuoted(executable)
        let extra = fragments.map { " --fragment \(shellQuoted($0))" }.joined()
        let build =
            builds
            ? "\(bpftest) kernels build --source . --name \"$name\"\(extra) >&2"
            : "make -s -j\"$(nproc)\" bzImage modules >&2"
        let kernel = builds ? "\"$name\"" : "."
        // The same for every commit: what has changed is compiled.
        let name = builds ? "\nname=bisect-$(pwd | cksum | cut -d ' ' -f 1)" : ""
        return """
            #!/bin/sh
            # In a git tree of the kernel:
            #   git bisect start BAD GOOD
            #   git bisect run THIS-SCRIPT
            # 0: good. 1: bad. 125: this commit cannot be built, does not boot, or every case is skipped on it.
            json=$(mktemp) || exit 255
            trap 'rm -f "$json"' EXIT\(name)
            \(build)
            case $? in
                0) ;;
                130) exit 255 ;;
                *) exit 125 ;;
            esac
            \(bpftest) run -k \(kernel) --json "$json" \(arguments.map(shellQuoted).joined(separator: " "))
            code=$?
            if grep -q '"blame":"kernel did not boot"' "$json"; then exit 125; fi
            case $code in
                0 | 1) exit $code ;;
                3 | 4) exit 125 ;;
                *) exit 255 ;;
            esac

            """
    }
}
