// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    /// What is attached is held, and nothing else: a program that goes is known by its id no more.
    static let references: [CgroupRow] = [
        CgroupRow("M-210.reference", "a list holds its programs until they are detached", [], .always) { list in
            let program = try OwnProgram.forSockets()
            let second = try OwnProgram.forSockets()
            for (fd, name) in [(program.fd, "the first"), (second.fd, "the second")] {
                try list.test.require(success: list.target.attach(fd, .allowMulti), "attach \(name)")
            }
            let link = try list.target.createLink(program.fd).get()
            second.close()
            try list.test.expect(second, isThere: true, "while it is attached")
            let again = try BPFCall.byID(.progGetFDByID, second.id).get()
            let handle = FileHandle(adopting: again)
            list.test.expect(list.target.detach(handle.raw), nil, "detach the second")
            handle.close()
            try list.test.expect(second, isThere: false, "after it was detached")
            list.test.expect(list.target.detach(program.fd), nil, "detach the first")
            program.close()
            try list.test.expect(program, isThere: true, "while its link is there")
            list.test.expect(link.detach(), nil, "detach the link")
            try list.test.expect(program, isThere: true, "while its link is there, detached")
            link.close()
            try list.test.expect(program, isThere: false, "after its link was closed")
            try list.expect(list: [])
        },
        CgroupRow("M-185.reference", "a program that is refused is not held", [.c(1), .l(2)]) { list in
            let linkID = UInt32(bitPattern: try list.link(of: 2).raw)
            let calls: [(String, AttachFlags, UInt32, CInt)] = [
                ("an anchor that is not there", [.allowMulti, .before], UInt32(bitPattern: list.programs.fd(5)), 0),
                ("an anchor of another kind", [.allowMulti, .before, .link], linkID, 0),
                ("other flags", [], 0, 0),
                ("flags that do not go together", [.allowMulti, .allowOverride], 0, 0),
                ("REPLACE of what is not there", [.allowMulti, .replace], 0, list.programs.fd(5)),
                ("REPLACE of no program", [.allowMulti, .replace], 0, list.programs.someMap),
            ]
            for (what, flags, relative, replace) in calls {
                let program = try OwnProgram.forSockets()
                list.test.expect(
                    list.target.attach(program.fd, flags, relative: relative, replace: replace) != nil,
                    "the program is refused for \(what)")
                list.test.expect(
                    list.target.createLink(program.fd, .link, relative: relative).errno, .EINVAL, "a link of it")
                program.close()
                try list.test.expect(program, isThere: false, "after it was refused for \(what)")
            }
            try list.expect(list: [.c(1), .l(2)], revision: 3)
        },
        CgroupRow("M-187.reference", "a program that replaces itself is held as before", [], .always) { list in
            let program = try OwnProgram.forSockets()
            try list.test.require(success: list.target.attach(program.fd, .allowMulti), "attach")
            for _ in 0..<3 {
                list.test.expect(
                    list.target.attach(program.fd, [.allowMulti, .replace], replace: program.fd), nil,
                    "REPLACE of the program by itself")
            }
            program.close()
            try list.test.expect(program, isThere: true, "while it is attached")
            let handle = FileHandle(adopting: try BPFCall.byID(.progGetFDByID, program.id).get())
            list.test.expect(list.target.detach(handle.raw), nil, "detach")
            handle.close()
            try list.test.expect(program, isThere: false, "after it was detached")
        },
        CgroupRow("M-187.replaced", "a program that is replaced is let go", [.c(1)], .always) { list in
            let program = try OwnProgram.forSockets()
            try list.test.require(success: list.target.attach(program.fd, .allowMulti), "attach")
            // Refused first: EINVAL, for C1 is in the list.
            list.test.expect(
                list.target.attach(list.programs.fd(1), [.allowMulti, .replace], replace: program.fd), .EINVAL,
                "REPLACE of the program by C1")
            list.test.expect(
                list.target.attach(list.programs.fd(2), [.allowMulti, .replace], replace: program.fd), nil,
                "REPLACE of the program by C2")
            try list.test.expect(program, isThere: true, "while its descriptor is open")
            program.close()
            try list.test.expect(program, isThere: false, "after it was replaced")
            try list.expect(list: [.c(1), .c(2)], revision: 4)
        },
        CgroupRow("M-205.reference", "a program whose place another takes is let go", [], .always) { list in
            for kind: AttachFlags in [[], .allowOverride] {
                let program = try OwnProgram.forSockets()
                try list.test.require(success: list.target.attach(program.fd, kind), "attach with \(kind)")
                list.test.expect(try list.attachPlain(2, kind), nil, "C2 in its place")
                program.close()
                try list.test.expect(program, isThere: false, "after another took its place")
                list.test.expect(list.target.detach(-1), nil, "detach what is there")
            }
        },
        CgroupRow("M-182.reference", "a program that was an anchor is not held", [.c(1)]) { list in
            let anchor = try OwnProgram.forSockets()
            try list.test.require(success: list.target.attach(anchor.fd, .allowMulti), "attach the anchor")
            let fd = UInt32(bitPattern: anchor.fd)
            let calls: [(Int, AttachFlags, UInt32, Errno?)] = [
                (2, .before, fd, nil), (3, .after, fd, nil), (4, [.before, .id], anchor.id, nil),
                (5, [.after, .preorder], fd, .EINVAL), (1, .before, fd, .EINVAL),
            ]
            for (number, flags, relative, errno) in calls {
                list.test.expect(
                    list.target.attach(list.programs.fd(number), flags.union(.allowMulti), relative: relative), errno,
                    "C\(number) \(flags) the anchor")
            }
            list.test.expect(list.target.detach(anchor.fd), nil, "detach the anchor")
            list.test.expect(
                list.target.attach(list.programs.fd(6), [.allowMulti, .before], relative: fd), .ENOENT,
                "C6 BEFORE the anchor, which is not in the list any more")
            anchor.close()
            try list.test.expect(anchor, isThere: false, "after it was an anchor")
            try list.expect(list: [.c(1), .c(2), .c(4), .c(3)], revision: 7)
        },
        CgroupRow("M-195.reference", "a link that was an anchor is not held", [.l(1)]) { list in
            let child = try list.child()
            let id = try BPFInfo.linkID(try list.link(of: 1).raw).get()
            list.test.expect(try list.link(2, [.before, .link], .linkFD(1)), nil, "L2 BEFORE|LINK L1")
            list.test.expect(try list.link(3, [.after, .link, .id], .linkID(1)), nil, "L3 AFTER|LINK|ID L1")
            list.test.expect(try list.link(4, [.after, .link, .preorder], .linkFD(1)), .EINVAL, "L4, PREORDER")
            list.test.expect(try child.link(4, [.after, .link, .id], .raw(id)), .ENOENT, "L4 in the child")
            list.test.expect(try list.attach(4, [.after, .link, .id], .linkID(1)), .EINVAL, "C4 AFTER|LINK|ID L1")
            try list.closeLink(of: 1)
            try list.test.expect(linkIsGone: id)
            try list.expect(list: [.l(2), .l(3)], revision: 5)
        },
        CgroupRow("M-214.reference", "an update lets the old program go, and holds the new one", [], .always) { list in
            let first = try OwnProgram.forSockets()
            let second = try OwnProgram.forSockets()
            let refused = try OwnProgram.forSockets()
            let link = try list.target.createLink(first.fd).get()
            list.test.expect(
                link.update(to: refused.fd, flags: .replace, old: list.programs.fd(1)), .EPERM,
                "update of another program")
            list.test.expect(link.update(to: refused.fd, old: first.fd), .EINVAL, "update with an old program alone")
            refused.close()
            try list.test.expect(refused, isThere: false, "after it was refused")
            list.test.expect(link.update(to: first.fd), nil, "update to the same program")
            list.test.expect(link.update(to: second.fd, flags: .replace, old: first.fd), nil, "update of the first")
            first.close()
            try list.test.expect(first, isThere: false, "after it was replaced")
            second.close()
            try list.test.expect(second, isThere: true, "while the link has it")
            link.close()
            try list.test.expect(second, isThere: false, "after the link was closed")
        },
        CgroupRow("M-213.reference", "a cgroup that is removed lets its programs go", [], .always) { list in
            let child = try list.child()
            let grandchild = try child.child()
            let programs = try (0..<4).map { _ in try OwnProgram.forSockets() }
            try list.test.require(success: child.target.attach(programs[0].fd, .allowMulti), "attach one to the child")
            let link = try child.target.createLink(programs[1].fd).get()
            try list.test.require(
                success: grandchild.target.attach(programs[2].fd, .allowMulti), "attach one to the grandchild")
            try list.test.require(success: list.target.attach(programs[3].fd, .allowMulti), "attach one to the parent")
            for program in programs { program.close() }
            try list.test.require(success: grandchild.cgroup.remove(), "rmdir of the grandchild")
            try list.test.require(success: child.cgroup.remove(), "rmdir of the child")
            for index in [0, 2] {
                try list.test.expect(programs[index], isThere: false, "after its cgroup")
            }
            try list.test.expect(programs[1], isThere: true, "while its link is there")
            try list.test.expect(programs[3], isThere: true, "on the parent")
            link.close()
            try list.test.expect(programs[1], isThere: false, "after its link was closed")
        },
        CgroupRow("M-213.cgroup", "nothing that was tried with a cgroup keeps it from being freed", [], .always) {
            list in
            let child = try list.child()
            let no = child.programs
            let dying = { try list.cgroup.value("nr_dying_descendants", in: "cgroup.stat") }
            list.test.expect(try child.attach(1), nil, "attach C1")
            list.test.expect(try child.attach(1), .EINVAL, "attach C1 again")
            list.test.expect(try child.attach(2, .replace, replace: 1), nil, "C1 by C2")
            list.test.expect(try child.attach(3, .replace, replace: 5), .ENOENT, "C5 by C3")
            list.test.expect(
                child.target.attach(no.fd(3), [.allowMulti, .replace], replace: no.someMap), .EINVAL, "REPLACE of a map"
            )
            list.test.expect(child.detach(3), .ENOENT, "detach C3")
            list.test.expect(child.detach(2), nil, "detach C2")
            for detaching in [false, true] {
                list.test.expect(try child.link(4), nil, "link C4")
                if detaching { list.test.expect(try child.link(of: 4).detach(), nil, "detach the link") }
                try child.closeLink(of: 4)
            }
            list.test.expect(try child.attachPlain(1), nil, "attach C1 without flags")
            list.test.expect(try child.link(4), .EPERM, "a link beside it")
            list.test.expect(child.target.query(.effective).errno, nil, "query")
            list.test.expect(child.target.query(room: 0).errno, nil, "query without room")
            // A link that outlives its cgroup's directory must not keep it either.
            list.test.expect(child.detach(1), nil, "detach C1")
            list.test.expect(try child.link(5), nil, "link C5")
            let link = try child.link(of: 5)
            try list.test.require(success: child.cgroup.remove(), "rmdir")
            child.close()
            try list.test.eventually("the link has no cgroup any more") { try CgroupLinkInfo.of(link).cgroup == 0 }
            try list.test.eventually("no dying cgroup is left") { try dying() == 0 }
        },
    ]
}
