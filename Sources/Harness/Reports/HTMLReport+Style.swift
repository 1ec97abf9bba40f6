// SPDX-License-Identifier: Apache-2.0

extension HTMLReport {
    static let style = """
        :root{--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d1d9e0;--head:#f3f5f7;--focus:#0550ae;\
        --p:#dafbe1;--pt:#116329;--f:#ffd8d3;--ft:#a40e26;--k:#fff1c2;--kt:#7d4e00;--s:#eef1f4;--st:#59636e;--bar:#4c8dd6;\
        --first:24rem;--cell:2.25rem}
        @media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9198a1;--line:#3d444d;--head:#161b22;\
        --focus:#79c0ff;--p:#12361f;--pt:#7ee29a;--f:#5c1a1f;--ft:#ffb3ad;--k:#4a3a0a;--kt:#f2cc60;--s:#1c2128;\
        --st:#9198a1;--bar:#4c8dd6}}
        *{box-sizing:border-box}
        html,body{height:100%;margin:0}
        body{background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,"DejaVu Sans",sans-serif;display:flex;\
        flex-direction:column}
        code,pre,.cells th[scope=row]{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12.5px}
        h1{font-size:1.4rem;margin:.6rem 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:1.4rem 0 .4rem}
        h3{display:inline;font-size:1rem;margin:0}h4{margin:.9rem 0 .2rem;font-size:.9rem}
        a{color:inherit}
        :focus-visible{outline:3px solid var(--focus);outline-offset:-2px}
        .vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);margin:0}
        .skip{position:absolute;left:-99rem}.skip:focus{left:.5rem;top:.5rem;background:var(--bg);padding:.5rem;z-index:9}
        #bar{flex:none;display:flex;flex-wrap:wrap;gap:.4rem .8rem;align-items:center;padding:.5rem .8rem;\
        background:var(--head);border-bottom:1px solid var(--line)}
        .choices{display:flex;flex-wrap:wrap;gap:.3rem}
        .choices label{padding:.25rem .6rem;border:1px solid var(--line);border-radius:1rem;background:var(--bg);\
        cursor:pointer;white-space:nowrap}
        #find{flex:1 1 12rem;max-width:26rem;min-width:8rem;font:inherit;padding:.3rem .6rem;color:inherit;\
        background:var(--bg);border:1px solid var(--line);border-radius:.4rem}
        #find[hidden]{display:none}
        #shown,.facts,.keys{color:var(--soft)}
        .facts{margin:.2rem 0 .8rem;overflow-wrap:anywhere}
        main{flex:1;min-height:0;overflow:auto;padding:0 0 3rem;scroll-padding:10rem 0 2rem}
        main>*,main>section>*{margin-left:.8rem}main>section{margin-left:0}
        .warning{border:2px solid var(--ft);background:var(--f);color:var(--ft);padding:.5rem .8rem;border-radius:.4rem;\
        font-weight:600;overflow-wrap:anywhere;white-space:pre-wrap;max-height:30vh;overflow:auto}
        .wide{overflow-x:auto}
        table{border-collapse:separate;border-spacing:0}
        .kernels th,.kernels td{padding:.2rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
        .kernels .n,.kernels thead th:nth-child(n+2):nth-last-child(n+2){text-align:right;font-variant-numeric:tabular-nums}
        td.p,span.p,b.p{color:var(--pt)}td.f,span.f,b.f{color:var(--ft)}td.k,span.k,b.k{color:var(--kt)}\
        td.s,span.s,b.s{color:var(--st)}
        .kernels td.f{background:var(--f);font-weight:600}.kernels td.k{background:var(--k)}
        .charts{display:flex;flex-wrap:wrap;gap:1rem 2rem;}
        figure{margin:0;max-width:100%}figcaption{color:var(--soft);margin-bottom:.2rem}
        svg{max-width:100%;height:auto;display:block}svg text{fill:var(--fg);font-size:12px}svg rect{fill:var(--bar)}
        h1,h2,.facts,.keys,.warning,.wide,.charts,.told,#reasons dl{position:sticky;left:.8rem;\
        max-width:calc(100vw - 1.6rem)}
        #cases{width:max-content;min-width:100%}
        .suite{border-top:1px solid var(--line);min-width:max-content}
        .suite>summary{position:sticky;left:.8rem;width:max-content;max-width:calc(100vw - 1.6rem);padding:.4rem 0;cursor:pointer}
        summary span.f,summary span.k,summary span.p,summary span.s{margin-left:.5rem}
        .box{content-visibility:auto;width:max-content;\
        contain-intrinsic-size:calc(var(--first) + var(--kernels)*var(--cell)) calc(var(--rows)*1.7rem + .8rem)}
        .later .box{content-visibility:hidden}
        .cells{table-layout:fixed;width:calc(var(--first) + var(--kernels)*var(--cell));margin-bottom:.8rem}
        .cells th,.cells td{border-bottom:1px solid var(--line);border-right:1px solid var(--line);padding:0 .3rem;\
        height:1.7rem}
        .head{position:sticky;top:0;z-index:2;display:flex;align-items:stretch;background:var(--head);\
        width:calc(var(--first) + var(--kernels)*var(--cell));border:1px solid var(--line);border-left:0;margin-bottom:.4rem}
        .head b{position:sticky;left:0;z-index:1;flex:none;width:var(--first);background:var(--head);\
        border-right:1px solid var(--line)}
        .head span{flex:none;width:var(--cell);display:flex;align-items:flex-end;justify-content:center;\
        border-right:1px solid var(--line);padding:.4rem 0}
        .head i{writing-mode:vertical-rl;transform:rotate(180deg);max-height:8.6rem;overflow:hidden;font-style:normal;\
        white-space:nowrap;text-overflow:ellipsis;font-weight:500}
        .cells thead th{height:0;padding:0;border:0;font-size:0;line-height:0;width:var(--cell)}
        .cells thead th:first-child{width:var(--first)}
        .cells tbody th{position:sticky;left:0;z-index:1;background:var(--bg);text-align:left;font-weight:600;\
        overflow:hidden;text-overflow:ellipsis;white-space:nowrap;border-left:1px solid var(--line)}
        .cells i{font-style:normal;font-weight:400;color:var(--soft)}
        .cells td{text-align:center;cursor:pointer;font-weight:600}
        .cells td:empty{cursor:auto}.cells td:empty::after{content:"·";color:var(--soft)}
        .cells td a{display:block;text-decoration:none}
        td.p{background:var(--p)}td.f{background:var(--f)}td.k{background:var(--k)}td.s{background:var(--s)}
        .kernels td.p,.kernels td.s{background:none}
        tr.x,.suite.x,
        #only-f:checked~main .suite:not(.f),#only-f:checked~main .suite tbody tr:not(.f),
        #only-k:checked~main .suite:not(.k),#only-k:checked~main .suite tbody tr:not(.k),
        #only-s:checked~main .suite:not(.s),#only-s:checked~main .suite tbody tr:not(.s),
        #only-p:checked~main .suite:not(.p),#only-p:checked~main .suite tbody tr:not(.p),
        #only-d:checked~main .suite:not(.d),#only-d:checked~main .suite tbody tr:not(.d){display:none}
        #only-a:checked~header [for=only-a],#only-f:checked~header [for=only-f],#only-k:checked~header [for=only-k],
        #only-s:checked~header [for=only-s],#only-p:checked~header [for=only-p],#only-d:checked~header [for=only-d]\
        {background:var(--fg);color:var(--bg);border-color:var(--fg)}
        #only-a:focus-visible~header [for=only-a],#only-f:focus-visible~header [for=only-f],
        #only-k:focus-visible~header [for=only-k],#only-s:focus-visible~header [for=only-s],
        #only-p:focus-visible~header [for=only-p],#only-d:focus-visible~header [for=only-d]\
        {outline:3px solid var(--focus);outline-offset:2px}
        .told{border-top:1px solid var(--line);content-visibility:auto;contain-intrinsic-size:auto 2rem;padding:.2rem 0}
        .told>summary{cursor:pointer;overflow-wrap:anywhere}
        .told>div{padding:0 1rem .6rem}
        pre{background:var(--head);border:1px solid var(--line);border-radius:.3rem;padding:.5rem;margin:.2rem 0;\
        max-height:60vh;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}
        p{overflow-wrap:anywhere}
        #reasons dt{overflow-wrap:anywhere;white-space:pre-wrap}#reasons dd{color:var(--soft);margin:0 0 .4rem 1rem}
        dt:target,:target{outline:2px solid var(--focus)}
        dialog{position:fixed;inset:0 0 0 auto;margin:0;width:min(46rem,100vw);max-width:100vw;height:100%;\
        max-height:100%;border:0;border-left:2px solid var(--line);background:var(--bg);color:var(--fg);\
        padding:0 1rem 2rem;overflow:auto;z-index:8;box-shadow:0 0 2rem #0006}
        dialog header{position:sticky;top:0;background:var(--bg);padding:.8rem 0 .4rem;border-bottom:1px solid var(--line);\
        display:flex;gap:.5rem;align-items:flex-start}
        dialog header h2{margin:0;flex:1;overflow-wrap:anywhere;position:static}
        button{font:inherit;color:inherit;background:var(--head);border:1px solid var(--line);border-radius:.4rem;\
        padding:.25rem .6rem;cursor:pointer;min-width:2.2rem}
        @media (max-width:40rem){:root{--first:11.5rem;--cell:2.5rem}.cells th,.cells td{height:2.3rem}\
        .box{contain-intrinsic-size:calc(var(--first) + var(--kernels)*var(--cell)) calc(var(--rows)*2.3rem + .8rem)}\
        .keys{display:none}\
        .head i{max-height:6.6rem}#bar{padding:.4rem;gap:.3rem}.choices label{padding:.2rem .5rem}}
        @media print{body{display:block;height:auto}main{overflow:visible}#bar,.keys{display:none}.box{content-visibility:visible}}

        """
}
