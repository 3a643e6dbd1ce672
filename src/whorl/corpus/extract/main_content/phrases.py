"""corpus/extract/main_content/phrases: words in short lines that belong to the furniture of a page rather than to its text.

In the languages of most of the web's pages; `|` is the edge of a word, letters outside a to z are edges (text/html_hints).
What a phrase is worth is fitted, see corpus/extract/main_content/scoring.
"""

from collections.abc import Mapping, Sequence

__all__ = ["PHRASES", "PHRASE_NAMES"]

_PHRASES: Mapping[str, Sequence[str]] = {
    "more": (
        "|read|more|", "|more|on|", "|more|from|", "|more|stories|", "|see|also|", "|related", "|you|may|also|",
        "|you|might|also|", "|also|read|", "|recommended", "|further|reading|", "|explore|further|", "|mehr|zum|thema",
        "|mehr|zu|", "|mehr|aus|", "|mehr|von|", "|lesen|sie|auch|", "|lies|auch|", "|auch|interessant", "|das|k|nnte|",
        "|weitere|artikel|", "|weitere|beitr", "|weitere|", "|hnliche|", "|passend|dazu|", "|verwandte|", "|empfehlung",
        "|empfohlen", "|lire|aussi|", "|voir|aussi|", "|sur|le|m|me|sujet|", "|a|lire|", "|leer|m|s|", "|ver|m|s|",
        "|te|puede|interesar|", "|relacionad", "|leggi|anche|", "|potrebbe|interessar", "|lees|ook|", "|veja|tamb",
        "|leia|mais|", "|leia|tamb", "|otras|noticias|", "|m|s|noticias|", "|also|on|", "|more|news|", "|similar|",
        "|next|article|", "|weiterlesen|", "|continue|reading|", "|keep|reading|",
    ),
    "latest": (
        "|latest|", "|most|read|", "|most|popular|", "|most|recent|", "|popular|", "|trending|", "|neueste", "|meistgelesen|",
        "|meist|gelesen|", "|meist|gesucht|", "|aktuelle|", "|aktuell|", "|recent|", "|top|stories|", "|top|themen|",
        "|lo|m|s|", "|les|plus|", "|pi|letti|", "|beliebt", "|news|ticker|", "|newsticker|", "|highlights|",
        "|breaking|news|", "|ltimas|noticias|", "|featured|",
    ),
    "share": (
        "|share|", "|sharing|", "|teilen|", "|tweet|", "|facebook|", "|twitter|", "|whatsapp|", "|pinterest|", "|linkedin|",
        "|instagram|", "|xing|", "|follow|us|", "|follow|", "|folgen|sie|", "|folge|", "|gef|llt|mir|", "|partager|",
        "|compartir|", "|condividi|", "|flattr|", "|print|", "|drucken|", "|e|mail|", "|email|", "|telegram|", "|youtube|",
        "|rss|", "|feed|", "|delen|",
    ),
    "comment": (
        "comment", "kommentar", "|leave|a|reply|", "|reply|", "|replies|", "|responses|", "|antworten|", "|antwort|",
        "|commentaire", "|comentario", "|commenti|", "|diskussion|", "|diskutieren|", "|forum|", "|leserbrief", "|discuss",
        "|pingback|", "|trackback|", "|gravatar|", "|erforderliche|felder|", "|add|yours|", "|log|in|to|", "|deine|meinung|",
        "|was|denkst|du|",
    ),
    "subscribe": (
        "newsletter", "subscri", "|sign|up|", "|sign|in|", "|abonn", "|anmelden|", "|login|", "|log|in|", "|einloggen|",
        "|register|", "|registrieren|", "|suscr", "|iscriviti|", "|mail|adresse|", "|email|address|", "|your|email|",
        "|premium|", "|membership|", "|donate|", "|donation", "|spende", "|inscri", "|abo|", "|unsubscribe|", "|inbox|",
        "|postfach|", "|ebook|", "|gratis|", "|kostenlos",
    ),
    "legal": (
        "|copyright|", "|all|rights|reserved|", "|rechte|vorbehalten|", "|rechte|", "|privacy|", "|datenschutz",
        "|impressum|", "|agb|", "|terms|", "|cookie", "|imprint|", "|disclaimer|", "|nutzungsbedingungen|", "|powered|by|",
        "|trademark", "|contact|us|", "|kontakt|", "|about|us|", "|ber|uns|", "|mentions|l|gales|", "|consent|", "|reserved|",
        "|derechos|reservados|", "|diritti|riservati|",
    ),
    "byline": (
        "|posted|by|", "|posted|on|", "|posted|in|", "|written|by|", "|about|the|author|", "|ber|den|autor|",
        "|ber|die|autorin|", "|author|", "|autor|", "|autorin|", "|redaktion|", "|published|", "|updated|",
        "|ver|ffentlicht|", "|aktualisiert|", "|eingestellt|von|", "|geschrieben|von|", "|ein|beitrag|von|", "|min|read|",
        "|reading|time|", "|lesezeit|", "|lesedauer|", "|uhr|", "|pm|", "|am|um|", "|publicado|", "|publi|", "|minutes|",
        "|minuten|", "|stand|", "|gepostet|", "|views|", "|aufrufe|", "|view|my|complete|profile|", "|staff|writer|",
        "|editor|",
    ),
    "month": (
        "|january|", "|february|", "|march|", "|april|", "|june|", "|july|", "|august|", "|september|", "|october|",
        "|november|", "|december|", "|januar|", "|februar|", "|m|rz|", "|mai|", "|juni|", "|juli|", "|oktober|", "|dezember|",
        "|jan|", "|feb|", "|mar|", "|apr|", "|jun|", "|jul|", "|aug|", "|sep|", "|sept|", "|oct|", "|okt|", "|nov|", "|dec|",
        "|dez|", "|enero|", "|febrero|", "|marzo|", "|abril|", "|mayo|", "|junio|", "|julio|", "|agosto|", "|octubre|",
        "|noviembre|", "|diciembre|", "|janvier|", "|avril|", "|juin|", "|juillet|", "|septembre|", "|octobre|", "|novembre|",
        "|monday|", "|tuesday|", "|wednesday|", "|thursday|", "|friday|", "|saturday|", "|sunday|", "|montag|", "|dienstag|",
        "|mittwoch|", "|donnerstag|", "|freitag|", "|samstag|", "|sonntag|",
    ),
    "photo": (
        "|foto|", "|fotos|", "|photo|", "|photos|", "|bild|", "|bilder|", "|image|", "|images|", "|quelle|", "|source|",
        "|credit|", "|credits|", "|getty|", "|shutterstock|", "|istock|", "|unsplash|", "|dpa|", "|afp|", "|reuters|",
        "|imago|", "|picture|alliance|", "|titelbild|", "|imagen|", "|fotograf", "|symbolbild|", "|screenshot|", "|pixabay|",
        "|adobe|stock|", "|bildergalerie|", "|galerie|", "|gallery|", "|vergr", "|video|", "|photograph|", "|illustration|",
        "|courtesy|",
    ),
    "tags": (
        "|tags|", "|tag|", "|tagged|", "|schlagw", "|themen|", "|thema|", "|kategorie", "|categories|", "|category|",
        "|filed|under|", "|etiquetas|", "|topics|", "|stichw", "|getaggt|", "|labels|", "|keywords|", "|temas|", "|rubrik|",
        "|archiv|", "|archives|", "|archive|", "|ressort|",
    ),
    "nav": (
        "|home|", "|next|", "|previous|", "|older|", "|newer|", "|zur|ck|", "|weiter|", "|back|to|", "|nach|oben|", "|menu|",
        "|men|", "|search|", "|suche|", "|suchen|", "|skip|to|", "|startseite|", "|vorherige", "|n|chste", "|siguiente|",
        "|anterior|", "|zum|inhalt|", "|page|", "|seite|", "|navigation|", "|bersicht|", "|inhalt|", "|faq|", "|help|",
        "|hilfe|", "|sitemap|", "|warenkorb|",
    ),
    "ad": (
        "|advertisement|", "|anzeige|", "|anzeigen|", "|werbung|", "|sponsored|", "|publicidad|", "|publicit",
        "|advertorial|", "|affiliate|", "|sponsor", "|unterst|tze", "|support|", "|ads|", "|inserat|", "|angebot|", "|deal|",
        "|shop|", "|amazon|",
    ),
    "action": (
        "|click|", "|klick", "|download|", "|downloads|", "|kaufen|", "|buy|now|", "|add|to|", "|mehr|erfahren|",
        "|erfahre|mehr|", "|learn|more|", "|load|more|", "|lade|", "|alle|anzeigen|", "|anzeigen|", "|ausblenden|",
        "|view|all|", "|show|more|", "|watch|", "|play|", "|jetzt|", "|hier|", "|here|", "|view|", "|see|all|", "|pdf|",
        "|mehr|", "|more|", "|alle|",
    ),
}  # fmt: skip
PHRASE_NAMES = tuple(_PHRASES)
PHRASES: Mapping[int, Sequence[str]] = dict(enumerate(_PHRASES.values()))
