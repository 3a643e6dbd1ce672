"""corpus/extract/main_content/hints: words in class names, ids and roles, and what they say about the text below.

Conventions of web publishing, not of any one page; `|` is the edge of a word (text/html_hints). What a hint is worth is fitted,
see corpus/extract/main_content/scoring.
"""

from collections.abc import Mapping, Sequence

__all__ = ["HINTS", "HINT_NAMES"]

_PHRASES: Mapping[str, Sequence[str]] = {
    # the content itself
    "article_body": (
        "article|body", "articlebody", "article|content", "articlecontent", "article|text", "articletext",
        "article|main", "entry|content", "entrycontent", "entry|text", "entry|body", "entrybody", "post|content",
        "postcontent", "post|body", "postbody", "post|text", "posttext", "post|entry", "post|bodycopy", "story|body",
        "storybody", "story|content", "storycontent", "story|text", "body|text", "bodytext", "body|copy", "bodycopy",
        "page|content", "pagecontent", "blog|content", "blog|body", "single|content", "text|content", "textcontent",
        "content|text", "content|body", "contentbody", "news|body", "newsbody", "news|text", "newstext", "news|content",
        "main|text", "maintext", "rich|text", "richtext", "rte|", "article|detail", "detail|content", "detail|text",
        "detail|body", "wysiwyg", "the|content|", "mw|content|text", "mw|parser|output", "markdown", "prose|",
        "recipe|content", "node|content", "field|name|body", "description|text", "content|encoded", "bb|wrapper",
        "bbwrapper", "message|content", "postmessage", "post|message", "messagetext", "fl|rich", "ce|text",
        "ce|bodytext", "csc|default", "textblock", "text|block", "paragraph|", "text|module", "texteditor",
        "text|editor", "transcript", "abstract|",
    ),
    "main": (
        "|main|", "maincontent", "main|content", "|content|", "|inhalt|", "contenido", "contenu", "|primary|",
        "|hauptinhalt|",
    ),
    "article": (
        "article", "|post|", "|entry|", "|story|", "artikel", "|blog|", "|single|", "|recipe|", "|news|", "hentry",
    ),
    "text": (
        "|text|", "|txt|", "|body|", "|copy|", "|p|", "|paragraph", "absatz", "fliesstext",
    ),
    "lead": (
        "|lead|", "|intro|", "|teasertext|", "standfirst", "vorspann", "|excerpt|", "|summary|", "|dek|", "|deck|",
        "subtitle", "sub|headline", "subheadline", "|kicker|", "|abstract|", "|leadtext",
    ),
    "title": (
        "|title|", "headline", "|heading|", "posttitle", "entrytitle", "|h|",
    ),
    "quote": (
        "quote", "zitat",
    ),
    "code": (
        "|code|", "highlight", "|syntax", "crayon", "|pre|",
    ),
    # furniture of the site
    "nav": (
        "|nav|", "navi|", "navbar", "navigation", "|navi|", "|menu", "menu|", "menue", "|submenu", "topnav", "subnav",
        "mainnav", "|mega|",
    ),
    "breadcrumb": (
        "breadcrumb", "|crumb", "|breadcrum", "brotkrume", "brotkrumel", "yoast|bread", "|pfad|", "|path|",
    ),
    "header": (
        "|header|", "masthead", "topbar", "|top|bar|", "|banner|", "siteheader", "|kopf|", "pageheader", "|branding|",
        "|logo|",
    ),
    "footer": (
        "footer", "|foot|", "|bottom|", "colophon", "impressum", "|imprint|", "|fuss|", "|legal|", "copyright",
        "|fusszeile",
    ),
    "sidebar": (
        "sidebar", "side|bar", "|aside|", "seitenleiste", "rightcol", "right|col", "|rail|", "|sidecol", "marginal",
        "leftcol", "left|col", "|rightbar", "|secondary|", "|supplement", "|right|side|", "randspalte",
        "|column|right|", "|skyscraper",
    ),
    "widget": (
        "widget", "|module|box|", "gadget", "infobox", "|infokasten", "|factbox", "|toolbox|", "|infobar|",
    ),
    "comment": (
        "comment", "kommentar", "disqus", "|respond|", "|reply|", "|replies|", "discussion", "commentlist",
        "|guestbook", "|trackback", "|pingback", "livefyre", "|leserbrief", "|forum|teaser", "coral", "comentario",
        "commento", "commenti",
    ),
    "related": (
        "related", "recommend", "|similar|", "similarpost", "|more|", "readmore", "read|more", "|also|",
        "|next|article", "yarpp", "verwandt", "ahnlich", "|aehnlich", "weitere", "|mehr|", "|zum|thema", "thema|",
        "outbrain", "taboola", "zergnet", "|jp|related", "suggest", "youmay", "you|may", "interessant", "|further",
        "morefrom", "more|from", "empfehl", "|onward", "relacionad", "|related", "crosslink", "|cross|", "linklist",
        "|linkliste",
    ),
    "teaser": (
        "teaser", "|card|", "|cards|", "|tile|", "|tiles|", "|promo", "|thumb", "|preview|", "|item|list|", "|carousel",
        "slider", "|grid|", "|archive|", "|feed|", "|listing|", "|posts|list", "postlist", "|loop|", "|overview|",
        "|swiper", "|slick", "|cta|",
    ),
    "popular": (
        "popular", "trending", "most|read", "mostread", "most|viewed", "meistgelesen", "|latest|", "|recent", "newest",
        "|neueste", "|aktuell", "topstories", "|top|stories", "|ranking", "|hot|", "newsticker", "|ticker|",
        "|latestnews", "|headlines|",
    ),
    "share": (
        "share", "sharing", "social", "facebook", "twitter", "whatsapp", "pinterest", "|follow", "addthis", "addtoany",
        "shariff", "sharedaddy", "|teilen|", "|like|", "|likes|", "instagram", "linkedin", "|tweet", "flattr",
        "bookmark", "|a|a|kit", "|sociable",
    ),
    "ad": (
        "|ad|", "|ads|", "|adv|", "advert", "|anzeige", "werbung", "sponsor", "adsense", "|adslot", "|adbox",
        "|adcontainer", "|dfp|", "banner", "|gpt|", "affiliate", "|commercial|", "|promotion", "adwrap", "|publi|",
        "publicidad", "|native|",
    ),
    "subscribe": (
        "newsletter", "subscri", "signup", "sign|up", "|login", "|log|in|", "register", "|abo|", "paywall", "piano",
        "|membership|", "donat", "spende", "|optin", "mailchimp", "mc|wp", "mailpoet", "|premium|", "|regwall",
        "|account|", "suscri", "abonn", "|paid|", "|metered", "|mc|embed",
    ),
    "cookie": (
        "cookie", "consent", "gdpr", "dsgvo", "|cmp|", "privacy", "borlabs", "onetrust", "usercentrics", "|ccpa|",
        "datenschutz",
    ),
    "overlay": (
        "modal", "popup", "pop|up", "overlay", "lightbox", "|dialog|", "tooltip", "dropdown", "|flyout", "offcanvas",
        "off|canvas", "|alert|", "|notice|", "|notification", "|toast|", "|hint|", "|snackbar", "|warning|",
    ),
    "hidden": (
        "|hidden|", "|hide|", "visually|hidden", "visuallyhidden", "screen|reader", "screenreader", "|sr|only|",
        "|invisible|", "|noprint|", "|no|print|", "|print|only|", "|noscript", "|offscreen", "|d|none|", "|skip|",
        "skiplink", "|versteckt", "|collapsed|", "|unseen|", "|assistive",
    ),
    "author": (
        "author", "byline", "|by|line", "|autor", "|bio|", "|profile", "|avatar", "|vcard", "|writer", "|contributor",
        "|gravatar", "|verfasser", "|redakteur", "|person|", "|user|",
    ),
    "date": (
        "|date|", "|time|", "timestamp", "published", "|datum|", "pubdate", "|updated|", "|posted|", "|datetime|",
        "|uhrzeit", "entrydate", "postdate", "|dateline", "|fecha|", "readingtime", "reading|time", "|lesezeit",
    ),
    "meta": (
        "|meta|", "metadata", "postmeta", "entrymeta", "postinfo", "|post|info", "|info|", "|infos|", "|details|",
        "|data|", "|stats|", "|entry|footer", "|post|footer", "|entry|utility", "|meta", "postfooter", "|credits|",
        "|quelle|", "|source|",
    ),
    "tags": (
        "|tag|", "|tags|", "taxonomy", "categor", "|cat|", "keyword", "kategorie", "|schlagwort", "|topics|", "|label|",
        "|labels|", "|tagcloud", "|tag|cloud", "|themen|", "|etiqueta", "|topic|", "|rubrik",
    ),
    "pager": (
        "pagination", "pager", "paging", "|pagenav", "page|nav", "post|nav", "|prev|", "previous", "|next|", "nextpost",
        "|older|", "|newer|", "wp|link|pages", "postnav", "|navlinks", "blaettern", "|page|numbers|", "post|navigation",
    ),
    "caption": (
        "caption", "|credit|", "|image|", "|img|", "|photo", "|picture|", "|media|", "gallery", "|figure", "galerie",
        "bildunter", "bildunterschrift", "|bild|", "|foto", "copyright|", "slideshow", "|thumbnail", "|illustration",
    ),
    "video": (
        "video", "player", "|audio|", "podcast", "|embed", "youtube", "|iframe|", "playlist", "vjs|",
    ),
    "search": (
        "search", "|suche", "|such|", "|filter|", "|sort|", "buscador",
    ),
    "tools": (
        "|tools|", "toolbar", "|tool|", "|print|", "printfriendly", "|action", "|button", "|btn", "|icons|", "|toggle",
        "|controls|", "|service|", "|drucken", "|options|", "|edit|", "editsection", "|utility",
    ),
    "form": (
        "|form|", "|field|", "|input|", "|contactform", "|wpcf", "|captcha|", "|poll|", "umfrage", "|survey", "|quiz|",
        "|abstimm", "|kontakt", "|contact|", "|voting",
    ),
    "rating": (
        "rating", "|vote", "bewertung", "|stars|", "|score|", "|review|", "|rate|", "ratings",
    ),
    "toc": (
        "|toc|", "table|of|contents", "tableofcontents", "inhaltsverzeichnis", "|ez|toc|", "|anchor|", "|jump",
    ),
    "shop": (
        "|product", "|price", "|cart|", "|shop|", "warenkorb", "|basket|", "|checkout", "|offer", "|deal|", "|wishlist",
        "|buy|",
    ),
    "language": (
        "|lang|", "language", "|sprache", "|translat", "|locale|", "wpml",
    ),
    "disclaimer": (
        "disclaimer", "disclosure", "|rights|", "|license", "lizenz", "|terms|", "|trust|", "|correction", "|about|",
        "|hinweis|",
    ),
    "references": (
        "reference", "footnote", "|sources|", "fussnote", "bibliograph", "|endnote", "|literatur", "citation",
    ),
    "location": (
        "|location|", "|address|", "|adresse|", "|map|", "|anfahrt", "|weather", "|wetter", "|event|", "|calendar|",
        "|kalender",
    ),
}  # fmt: skip
HINT_NAMES = tuple(_PHRASES)
HINTS: Mapping[int, Sequence[str]] = dict(enumerate(_PHRASES.values()))
