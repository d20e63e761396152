"""The themes of the simulated world: a name and the words its items are described with.

Neighbours in the list are related, and their items borrow each other's words.
"""

from __future__ import annotations

THEMES: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (name.strip(), tuple(words.split()))
    for name, _, words in (
        line.partition(":")
        for line in """
gardening: garden seeds soil compost pruning roses greenhouse herbs
houseplants: orchid fern potting succulent windowsill cactus leaves watering
beekeeping: honey hive bees pollen wax swarm meadow nectar
birdwatching: birds binoculars nest migration owl songbird feather wetland
hiking: trail summit backpack boots ridge compass wilderness map
camping: tent campfire sleeping lantern forest stove hammock stars
climbing: rope cliff boulder belay harness granite crag ascent
skiing: snow slope powder alpine lift glacier goggles avalanche
cycling: bicycle gears peloton saddle mountain wheels touring derailleur
running: marathon sprint pace shoes stride track endurance jog
swimming: pool freestyle laps diving stroke goggles lane backstroke
sailing: sailboat harbor wind mast regatta knots tide keel
fishing: trout lure river rod angler bait salmon reel
oceans: reef whales coral tides plankton submarine shark deep
space: rockets orbit galaxy telescope astronaut planets comet nebula
physics: quantum particles gravity energy relativity laser atoms waves
mathematics: proof geometry algebra numbers theorem topology puzzle infinity
chess: gambit endgame rook opening tournament checkmate knight strategy
puzzles: crossword riddle jigsaw logic cipher maze sudoku clues
detectives: mystery murder inspector alibi clue suspect crime evidence
thrillers: conspiracy suspense chase assassin hostage secret agent betrayal
spies: espionage agent codes embassy double defector undercover cipher
war: soldiers battle trenches army siege regiment victory artillery
history: empire dynasty archive revolution century chronicle medieval treaty
archaeology: ruins excavation pottery tomb artifact pharaoh temple fossils
mythology: gods heroes odyssey legend titan oracle dragon underworld
fantasy: wizard dragon quest sword kingdom elves magic prophecy
science fiction: robots aliens starship cyborg future colony android dystopia
horror: ghost haunted zombie vampire nightmare cemetery monster curse
westerns: cowboy frontier saloon outlaw sheriff ranch prairie duel
romance: love wedding kiss heartbreak passion letters courtship summer
drama: family grief inheritance scandal marriage sisters reunion village
comedy: jokes satire slapstick sitcom parody standup laughter farce
musicals: broadway chorus dance stage overture cabaret spotlight ballad
opera: soprano aria tenor libretto orchestra overture baritone stage
classical music: symphony violin cello concerto sonata conductor quartet piano
jazz: saxophone trumpet swing improvisation bebop quartet blues club
rock music: guitar drums riff amplifier concert band vinyl festival
electronic music: synthesizer techno beats sampler club remix bass loops
photography: camera lens portrait exposure darkroom shutter landscape film
painting: canvas watercolor palette impressionist brush gallery portrait pigment
ceramics: clay kiln glaze wheel porcelain vase pottery stoneware
knitting: yarn needles wool sweater stitches crochet pattern scarf
fashion: dress runway couture fabric tailoring vintage style silk
design: typography posters furniture minimal logo interior layout modern
architecture: cathedral skyscraper facade bridge blueprint concrete dome arch
woodworking: oak chisel joinery lathe carving workbench plywood cabinet
electronics: circuits soldering sensors battery microchip transistor radio antenna
programming: code algorithms compiler software database debugging python functions
video games: arcade console pixel multiplayer quest level controller speedrun
board games: dice cards tokens strategy tabletop meeple auction cooperative
baking: bread sourdough flour pastry oven croissant cake yeast
cooking: recipes kitchen sauce spices roast simmer skillet stew
vegetarian food: beans lentils tofu salad vegetables mushrooms grains herbs
wine: vineyard grapes cellar tasting vintage barrel cork chardonnay
coffee: espresso beans roast barista brew latte aroma grinder
travel: passport hotel journey islands backpacking train city itinerary
trains: railway locomotive steam station tracks carriage tunnel express
cars: engine racing turbo roadster garage motor vintage rally
economics: markets inflation trade money banks growth labor wealth
""".strip().splitlines()
    )
)

COMMON = (
    "guide",
    "story",
    "classic",
    "collection",
    "evening",
    "weekend",
    "journey",
    "handbook",
    "companion",
    "year",
)
"""Words that items of any theme may use."""
