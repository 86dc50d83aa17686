"""Make fast_style/assets/photos, the sample photographs and their table of credits; a minute.

    python scripts/make_sample_photos.py --lomiri-16 DIR --lomiri-20 DIR --gcompris DIR \
        --skimage DIR

The folders hold the unpacked packages that ``PACKAGES`` names (``dpkg-deb -x`` for a Debian
package, ``unzip`` for a wheel). Reading GCompris needs `pip install PySide6-Essentials`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps

SHORT_SIDE = 400  # pixels of the short side, or the crop's own if that is less
SMALLEST = 320  # a crop with a shorter side than this is refused
LONGEST = 1.6  # long side over short side, at most
QUALITY = 85
LARGEST_TOTAL = 6_000_000  # bytes of all photographs together

LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}


class Package(NamedTuple):
    """A package that photographs come from, and where in it they lie."""

    credit: str
    version: str
    folder: str


PACKAGES = {
    "lomiri-16": Package(
        "Debian package lomiri-wallpapers-16.04", "20.04.0-2", "usr/share/backgrounds"
    ),
    "lomiri-20": Package(
        "Debian package lomiri-wallpapers-20.04", "20.04.0-2", "usr/share/backgrounds"
    ),
    "gcompris": Package("Debian package gcompris-qt-data", "3.1-2", "usr/share/gcompris-qt/rcc"),
    "skimage": Package("Python package scikit-image", "0.26.0", "skimage/data"),
}

Box = tuple[int, int, int, int]


class Photo(NamedTuple):
    """One photograph of the sample set.

    Attributes:
        name: File name to write, without the suffix.
        split: ``train`` or ``val``.
        shows: What it shows, for the table.
        package: Key of ``PACKAGES``.
        file: File name in the package; in GCompris ``ACTIVITY.rcc:PATH``, the path below that
            activity's resource folder.
        crop: Left, top, right and bottom in pixels of the source; None takes all of it.
        author: As the package names them.
        licence: Key of ``LICENCES``, as the package states it for this very file.
        year: As the package states it; None where it doesn't.
        origin: Page the package took the photograph from; empty where it names none.
        before: What the package says it changed itself.
    """

    name: str
    split: str
    shows: str
    package: str
    file: str
    crop: Box | None
    author: str
    licence: str
    year: int | None = None
    origin: str = ""
    before: str = ""


COMMONS = "https://commons.wikimedia.org/wiki/File:"

# fmt: off
PHOTOS: tuple[Photo, ...] = (
    Photo("astronaut", "val", "an astronaut in her orange suit", "skimage", "astronaut.png", None,
          "NASA", "Public domain", origin="https://flic.kr/p/r9qvLn"),
    Photo("two_dogs", "val", "two dogs looking out of a wooden house", "lomiri-16",
          "friends_by_Aitzol_Berasategi.jpg", (300, 500, 1700, 2400), "Aitzol Berasategi",
          "CC-BY-4.0", year=2018),
    Photo("orchestra", "val", "an orchestra on stage", "gcompris",
          "explore_world_music.rcc:music/orchestra.webp", (50, 40, 950, 613), "ABC Informática",
          "Public domain", origin=COMMONS + "Orchestra_of_the_18th_Century.jpg"),
    Photo("kingfisher", "val", "a kingfisher on a branch", "gcompris", "erase.rcc:kingfisher.webp",
          (500, 40, 1760, 880), "Frank-2.0", "CC0-1.0", origin=COMMONS + "Eisvogel_kingfisher.jpg",
          before="cropping, sharpening"),
    Photo("castle_neuschwanstein", "val", "a white castle above a forest", "gcompris",
          "explore_monuments.rcc:germany/neuschwansteinCastle.webp", (100, 20, 1000, 640),
          "cameralends", "CC0-1.0", origin=COMMONS + "Neuschwanstein_Castle_(532850).jpg"),
    Photo("temple_by_night", "val", "a columned temple, lit at dusk", "gcompris",
          "explore_monuments.rcc:usa/lincolnMemorial.webp", (80, 0, 944, 548),
          "Brylie Christopher Oxley", "CC0-1.0",
          origin=COMMONS + "US-WashingtonDC-LincolnMemorial-20140312_014138_HDR_v1.JPG"),
    Photo("canyon_river", "val", "a river through a canyon", "gcompris",
          "explore_monuments.rcc:usa/canyondeChelly.webp", None, "Nikater", "Public domain",
          origin=COMMONS + "Canyon_de_chelly09.jpg"),
    Photo("forest_brook", "val", "a brook among rocks in a wood", "lomiri-16",
          "life_by_Aitzol_Berasategi.jpg", None, "Aitzol Berasategi", "CC-BY-4.0", year=2018),
    Photo("sunset", "val", "the sun setting behind mountains", "lomiri-16",
          "sunset_by_Aitzol_Berasategi.jpg", (300, 100, 3900, 2500), "Aitzol Berasategi",
          "CC-BY-4.0", year=2018),
    Photo("fig_in_bowl", "val", "half a fig in a red bowl", "lomiri-16",
          "Picture_0B_by_freespace.jpg", None, "Trevor \"Freespace\"", "CC-BY-4.0", year=2018),
    Photo("basket_star", "val", "a basket star on the sea floor", "gcompris",
          "clickgame.rcc:sea6.webp", (200, 80, 1603, 1080), "U.S. Fish and Wildlife Service",
          "Public domain", origin=COMMONS + "Basket_starfish_underwater_astrophyton_muriatum.jpg"),
    Photo("palace_of_winds", "val", "a palace front of red sandstone", "gcompris",
          "explore_monuments.rcc:india/hawaMahal.webp", None, "Janwiki", "Public domain",
          origin=COMMONS + "Hawa_Mahal,_Jaipur,_India.jpg"),
    Photo("lemurs", "train", "two ring-tailed lemurs", "gcompris",
          "explore_world_animals.rcc:animals/lemur.webp", None, "Mathias Appel", "CC0-1.0",
          origin=COMMONS + "Lemur_(37122852696).jpg"),
    Photo("jaguars", "train", "two jaguars on rocks", "gcompris",
          "explore_world_animals.rcc:animals/jaguar.webp", None, "Frieda Bredesen", "CC0-1.0",
          origin=COMMONS + "Two_Jaguar_Sisters.jpg"),
    Photo("hedgehog", "train", "a hedgehog in grass", "gcompris",
          "explore_world_animals.rcc:animals/hedgehog.webp", None, "George Chernilevsky",
          "Public domain", origin=COMMONS + "Erinaceus_roumanicus_2020_G2.jpg"),
    Photo("macaw", "train", "a scarlet macaw", "gcompris",
          "explore_world_animals.rcc:animals/scarlet_macaw.webp", (60, 20, 900, 793), "Dcoetzee",
          "CC0-1.0", origin=COMMONS + "Scarlet_macaw_at_Cougar_Mountain_Zoological_Park.jpg"),
    Photo("moose", "train", "a bull moose at rest", "gcompris",
          "explore_world_animals.rcc:animals/moose.webp", (100, 40, 1000, 640), "Ryan Hagerty",
          "Public domain", origin=COMMONS + "Male_Moose.jpg"),
    Photo("narwhals", "train", "narwhals at the water's surface", "gcompris",
          "explore_world_animals.rcc:animals/narwhal.webp", (120, 0, 960, 530), "Dr Kristin Laidre",
          "Public domain", origin=COMMONS + "Pod_Monodon_monoceros.jpg"),
    Photo("horses", "train", "a herd of horses under clouds", "gcompris",
          "explore_farm_animals.rcc:animals/horse.webp", None, "Seth Zeigler", "CC0-1.0",
          origin=COMMONS + "Nokota_Horse_Stud_Band.jpg"),
    Photo("cat_with_wool", "train", "a cat with a ball of wool", "gcompris",
          "explore_farm_animals.rcc:animals/cat.webp", None, "Loliloli", "Public domain",
          origin=COMMONS + "Spielendes_K%C3%A4tzchen.JPG"),
    Photo("hens", "train", "four hens on grass", "gcompris",
          "explore_farm_animals.rcc:animals/chicken.webp", None, "Tranquilles", "Public domain",
          origin=COMMONS + "Chickens_at_Tranquilles_B%26B.JPG"),
    Photo("duck", "train", "a white duck before dark water", "gcompris",
          "explore_farm_animals.rcc:animals/duck.webp", (100, 60, 960, 900), "Bernard Spragg",
          "CC0-1.0", origin=COMMONS + "Aylesbury_Duck._(9373723157).jpg"),
    Photo("owl", "train", "an owl on a branch", "gcompris",
          "explore_farm_animals.rcc:animals/owl.webp", None, "Lepale", "CC0-1.0",
          origin=COMMONS + "Owl_The_Nightbird.jpg"),
    Photo("red_panda", "train", "a red panda", "gcompris", "erase.rcc:red_panda.webp",
          (360, 40, 1800, 1000), "Mathias Appel", "CC0-1.0",
          origin=COMMONS + "Red_Panda_(30324056733).jpg", before="cropping, sharpening"),
    Photo("crab", "train", "a red crab on stone", "gcompris", "erase.rcc:crab.webp",
          (96, 0, 1824, 1080), "Nosferattus", "CC0-1.0",
          origin=COMMONS + "Sally_Lightfoot_Crab_2019.jpg", before="cropping, sharpening"),
    Photo("swans", "train", "swans with cygnets on black water", "gcompris", "erase.rcc:swans.webp",
          (230, 60, 1850, 1080), "Charles J. Sharp", "CC-BY-SA-4.0",
          origin=COMMONS + "Mute_swans_(Cygnus_olor)_and_cygnets.jpg",
          before="cropping, sharpening"),
    Photo("meerkats", "train", "three meerkats", "gcompris", "erase.rcc:meerkats.webp",
          (440, 40, 1860, 1060), "Charles J. Sharp", "CC-BY-SA-4.0",
          origin=COMMONS + "Meerkat_(Suricata_suricatta)_Tswalu.jpg",
          before="cropping, sharpening"),
    Photo("aracari", "train", "an aracari on a branch", "gcompris", "erase.rcc:toucan.webp",
          (40, 60, 1440, 993), "LG Nyqvist", "CC-BY-SA-4.0",
          origin=COMMONS + "Pteroglossus_torquatus_Costa_Rica.jpg", before="cropping, sharpening"),
    Photo("chameleon", "train", "a chameleon on a branch", "gcompris", "erase.rcc:chamaeleon.webp",
          (80, 60, 1700, 1080), "Benny Trapp", "CC-BY-3.0",
          origin=COMMONS + "BennyTrapp_Chamaeleo_chamaeleon_Samos_Griechenland.jpg",
          before="cropping, sharpening"),
    Photo("goat", "train", "a goat before mountains", "gcompris", "erase.rcc:goat.webp",
          (160, 0, 1780, 1080), "JoachimKohlerBremen", "CC-BY-SA-4.0",
          origin=COMMONS + "Walliser_Schwarzhalsziege,_Belalp_2014.jpg",
          before="cropping, sharpening"),
    Photo("sea_floor", "train", "overgrown rocks under water", "gcompris",
          "clickgame.rcc:sea2.webp", (300, 60, 1440, 915), "Ruthven", "CC0-1.0",
          origin=COMMONS + "Parco_archeologico_di_Baia_-_portus_Julius_4.jpg"),
    Photo("dolphin", "train", "a dolphin in deep water", "gcompris", "erase.rcc:dolphin.webp",
          (480, 0, 1500, 1080), "טל שמע", "CC-BY-SA-4.0",
          origin=COMMONS + "Eilat_Dolphin_Reef_(3).jpg",
          before="cropping, sharpening, removed a few spots"),
    Photo("gorilla", "train", "a gorilla among leaves", "gcompris", "erase.rcc:gorilla.webp",
          (300, 20, 1740, 980), "Charles J. Sharp", "CC-BY-SA-4.0",
          origin=COMMONS + "Mountain_gorilla_(Gorilla_beringei_beringei)_female_2.jpg",
          before="cropping, sharpening"),
    Photo("kitten", "train", "a kitten on a wooden wall", "gcompris", "erase.rcc:kitten.webp",
          (420, 60, 1620, 1060), "GalgenTX", "CC-BY-2.0",
          origin=COMMONS + "A_posing_kitten_(Flickr).jpg",
          before="cropping, colour adjustment, sharpening"),
    Photo("giraffes", "train", "two giraffes among trees", "gcompris",
          "explore_world_animals.rcc:animals/giraffe.webp", None, "Mike and Lara Wolfe", "CC0-1.0",
          origin=COMMONS + "Giraffe_courtship_(25657342808).jpg"),
    Photo("heron", "train", "a purple heron in flight", "gcompris", "erase.rcc:heron.webp",
          (40, 40, 1320, 900), "Stephan Sprinz", "CC-BY-SA-4.0",
          origin=COMMONS + "Purpurreiher_(ardea_purpurea)_im_Flug_-_NSG_Wagbachniederung_1.jpg",
          before="cropping"),
    Photo("ibex", "train", "a young ibex above a desert", "gcompris", "erase.rcc:nubian_ibex.webp",
          (340, 0, 1780, 1080), "Rhododendrites", "CC-BY-SA-4.0",
          origin=COMMONS + "Juvenile_Nubian_ibex_in_Mitzpe_Ramon_(40409).jpg",
          before="non-linear rescaling, cropping, sharpening"),
    Photo("petra", "train", "a rock-cut facade", "gcompris",
          "explore_monuments.rcc:wonders/petra.webp", None, "Berthold Werner", "Public domain",
          origin=COMMONS + "Petra_Jordan_BW_36.JPG"),
    Photo("colosseum", "train", "an ancient amphitheatre", "gcompris",
          "explore_monuments.rcc:wonders/colosseum.webp", (60, 40, 960, 640), "Urse Ovidiu",
          "Public domain", origin=COMMONS + "Colosseum_Roma_2009.jpg"),
    Photo("taj_mahal", "train", "a white marble tomb with four minarets", "gcompris",
          "explore_monuments.rcc:wonders/tajMahal.webp", None, "Yann", "CC-BY-SA-4.0",
          origin=COMMONS + "Taj_Mahal,_Agra,_India.jpg"),
    Photo("stepped_pyramid", "train", "a stepped pyramid under clouds", "gcompris",
          "explore_monuments.rcc:wonders/chichenItza.webp", (100, 0, 964, 545), "Daniel Schwen",
          "CC-BY-SA-4.0", origin=COMMONS + "Chichen_Itza_3.jpg"),
    Photo("city_walls", "train", "the walls and towers of a fortified town", "gcompris",
          "explore_monuments.rcc:france/citedeCarcassonne.webp", None, "Petitemontagnedujura",
          "Public domain", origin=COMMONS + "Carcassonne_-_la_Cit%C3%A9.jpg"),
    Photo("castle_on_river", "train", "a castle on a river", "gcompris",
          "explore_monuments.rcc:france/chateaudeChenonceau.webp", None, "Alf van Beem",
          "Public domain", origin=COMMONS + "Ch%C3%A2teau_de_Chenonceau_photo_1.JPG"),
    Photo("aqueduct", "train", "a Roman aqueduct", "gcompris",
          "explore_monuments.rcc:france/pontduGard.webp", (160, 100, 1024, 660), "Mimova",
          "Public domain", origin=COMMONS + "Pontdugard.jpg"),
    Photo("cliff_village", "train", "a village on a wooded cliff", "gcompris",
          "explore_monuments.rcc:france/rocamadour.webp", None, "François Darras", "Public domain",
          origin=COMMONS + "Rocamadour_fda.jpg"),
    Photo("gothic_choir", "train", "the flying buttresses of a cathedral", "gcompris",
          "explore_monuments.rcc:france/reimsCathedral.webp", (0, 40, 1000, 768), "Mattana",
          "Public domain", origin=COMMONS + "Reims_Cathedrale_Notre_Dame_002_chevet.JPG"),
    Photo("domed_cathedral", "train", "a cathedral with green domes", "gcompris",
          "explore_monuments.rcc:germany/berlinCathedral.webp", None, "Gary Todd", "CC0-1.0",
          origin=COMMONS + "Berlin_Cathedral_(28668994926).jpg"),
    Photo("gate_at_dusk", "train", "a columned gate, lit at dusk", "gcompris",
          "explore_monuments.rcc:germany/brandenburgGate.webp", None, "Evans1551", "Public domain",
          origin=COMMONS + "Brandenburg_Gate_(summer_2005).JPG"),
    Photo("minarets", "train", "a monument with minarets", "gcompris",
          "explore_monuments.rcc:india/charminar.webp", (0, 0, 768, 1024), "Goutamkhandelwal",
          "Public domain", origin=COMMONS + "Charminar_1.JPG"),
    Photo("arch_by_night", "train", "an arch, lit by night", "gcompris",
          "explore_monuments.rcc:india/gatewayofIndia.webp", None, "Simon Steinberger", "CC0-1.0",
          origin=COMMONS + "Gateway-of-India.jpg"),
    Photo("temple_court", "train", "the court of a stone temple", "gcompris",
          "explore_monuments.rcc:india/konarkSunTemple.webp", None, "Tetraktys", "Public domain",
          origin=COMMONS + "Konark_Sun_Temple_Front_view.jpg"),
    Photo("golden_temple", "train", "a golden temple in a lake", "gcompris",
          "explore_monuments.rcc:india/goldenTemple.webp", (160, 120, 1000, 720), "Jasdeep Singh",
          "CC0-1.0", origin=COMMONS + "Golden_Temple_.jpg"),
    Photo("cliff_dwellings", "train", "dwellings in a sandstone cliff", "gcompris",
          "explore_monuments.rcc:usa/navajo.webp", None, "Jon Sullivan", "Public domain",
          origin=COMMONS + "Betatakin_Cliff_Dwellings.jpg"),
    Photo("statue", "train", "a copper statue on its base", "gcompris",
          "explore_monuments.rcc:usa/statueofLiberty.webp", (100, 0, 668, 860),
          "(WT-shared) Ypsilonatshared", "Public domain",
          origin=COMMONS + "Liberty_enlightening_the_world.JPG"),
    Photo("palace_on_lake", "train", "a palace with towers on a lake in winter", "gcompris",
          "explore_monuments.rcc:germany/schwerinPalace.webp", None, "Hermann Luyken", "CC0-1.0",
          origin=COMMONS + "2012.02.26.121724_Schloss_Schwerin.jpg"),
    Photo("fort_from_air", "train", "a fort from the air", "gcompris",
          "explore_monuments.rcc:usa/castillodeSanMarcos.webp", (30, 10, 960, 600),
          "National Park Service", "Public domain", origin=COMMONS + "Castillo_de_San_Marcos.jpg"),
    Photo("andes", "train", "ruins among green mountains", "gcompris",
          "explore_monuments.rcc:wonders/machuPicchu.webp", (60, 0, 960, 576), "Guillaume Pascal",
          "CC0-1.0", origin=COMMONS + "Yet_another_pic_of_machu_picchu.jpg"),
    Photo("great_wall", "train", "a wall over green hills", "gcompris",
          "explore_monuments.rcc:wonders/greatWallofChina.webp", None, "Nicolas Perrault III",
          "CC0-1.0", origin=COMMONS + "Great_Wall_of_China_July_2006.JPG"),
    Photo("mountain_path", "train", "a path towards mountains", "lomiri-16",
          "picosdeeuropa_by_Aitzol_Berasategi.jpg", (0, 1000, 1900, 2448), "Aitzol Berasategi",
          "CC-BY-4.0", year=2018),
    Photo("mountain_snow", "train", "rocky peaks with snow and cloud", "lomiri-16",
          "picosdeeuropa_by_Aitzol_Berasategi.jpg", (1100, 150, 3264, 1600), "Aitzol Berasategi",
          "CC-BY-4.0", year=2018),
    Photo("autumn_slope", "train", "a meadow, autumn trees and a mountain", "lomiri-16",
          "aitzgorri_by_Aitzol_Berasategi.jpg", None, "Aitzol Berasategi", "CC-BY-4.0", year=2018),
    Photo("rock_faces", "train", "faces carved in a mountain", "gcompris",
          "explore_monuments.rcc:usa/mountRushmore.webp", (90, 180, 1024, 768), "Eekim", "CC0-1.0",
          origin=COMMONS + "Mount_Rushmore,_Keystone,_South_Dakota.jpg"),
    Photo("bridge_sky", "train", "the rods of a bridge before the sky", "lomiri-16",
          "Bridge_by_Sander_Klootwijk.jpg", (1200, 900, 3600, 2448), "Sander Klootwijk",
          "CC-BY-SA-4.0", year=2018),
    Photo("dandelion", "train", "a dandelion clock against the sun", "lomiri-16",
          "seeding_by_Clements_Engelhardt.jpg", (300, 0, 3800, 2500), "Clemens Engelhardt",
          "CC0-1.0", year=2018),
    Photo("didgeridoo", "train", "a man playing the didgeridoo", "gcompris",
          "explore_world_music.rcc:music/australia.webp", (20, 60, 660, 1000), "Steve Evans",
          "CC-BY-2.0", origin=COMMONS + "Australia_Aboriginal_Culture_009.jpg"),
    Photo("opera", "train", "singers on an opera stage", "gcompris",
          "explore_world_music.rcc:music/italy.webp", None, "SoriamuséuM", "CC0-1.0",
          origin=COMMONS + "%C3%93pera_c%C3%A1sina.jpg"),
    Photo("mariachi", "train", "musicians playing in the street", "gcompris",
          "explore_world_music.rcc:music/mexico.webp", None, "Elidealista", "CC0-1.0",
          origin=COMMONS + "Wikipedia_10_Guadalajara_-_Mariachi.jpg"),
    Photo("festival_by_night", "train", "drummers at a festival by night", "gcompris",
          "explore_world_music.rcc:music/japan.webp", None, "takami torao", "Public domain",
          origin=COMMONS + "Agidaiko03.jpg"),
    Photo("cameraman", "train", "a man with a camera, in grey", "skimage", "camera.png", None,
          "Lav Varshney", "CC0-1.0"),
    Photo("band", "train", "two musicians on a dark stage", "gcompris",
          "explore_world_music.rcc:music/ireland.webp", (0, 0, 600, 416), "candyschwartz",
          "CC-BY-2.0", origin=COMMONS + "Lunny_irvine_o_flynn_glackin.jpg"),
    Photo("drum_kit", "train", "a drum kit and a guitar", "gcompris",
          "explore_world_music.rcc:music/america.webp", None, "Tom Harpel", "CC-BY-2.0",
          origin=COMMONS + "Onalaska-Practice6.jpg"),
    Photo("coffee", "train", "a cup of coffee on wood", "skimage", "coffee.png", None,
          "Rachel Michetti", "CC0-1.0"),
    Photo("paintbrushes", "train", "paintbrushes with bright paint", "lomiri-16",
          "Picture_1A_by_freespace.jpg", None, "Trevor \"Freespace\"", "CC-BY-4.0", year=2018),
    Photo("djembe", "train", "a drum on a beanbag", "lomiri-16", "Wine_by_Jakkub_Mede.jpg",
          (0, 1700, 2300, 3700), "Jakub Mede", "CC-BY-4.0", year=2018),
    Photo("wine_table", "train", "a bottle and a glass on a wooden table", "lomiri-16",
          "Wine_by_Jakkub_Mede.jpg", (0, 60, 2560, 1960), "Jakub Mede", "CC-BY-4.0", year=2018),
    Photo("rocket", "train", "a rocket on its pad at dusk", "skimage", "rocket.jpg", None, "SpaceX",
          "Public domain", origin="https://www.flickr.com/photos/spacexphotos/16511594820/"),
    Photo("nuthatch", "train", "a nuthatch on rough bark", "lomiri-20",
          "Kleiber_by_Lukas_Baubkus.jpg", (1200, 600, 3600, 2400), "Lukas Baubkus", "CC-BY-SA-3.0",
          year=2021),
    Photo("dragonfly", "train", "a dragonfly before leaves", "lomiri-16", "Dragonfly_by_Bolly.jpg",
          (1300, 400, 3700, 2400), "Bolly", "CC-BY-SA-4.0", year=2018),
)
# fmt: on


class PhotoError(ValueError):
    """A source or the table isn't what it should be; the message says what to do."""


def check_table(photos: Sequence[Photo]) -> None:
    """Check what the table promises beyond its types.

    Raises:
        PhotoError: A name is used twice, a source lies in both splits, or a key is unknown.
    """
    names: set[str] = set()
    splits: dict[tuple[str, str], str] = {}
    for photo in photos:
        if photo.name in names:
            raise PhotoError(f"the table names {photo.name} twice: rename one")
        names.add(photo.name)
        if photo.split not in ("train", "val"):
            raise PhotoError(f"{photo.name} is in split {photo.split!r}, expected train or val")
        if splits.setdefault((photo.package, photo.file), photo.split) != photo.split:
            raise PhotoError(f"{photo.file} has scenes in train and in val: move them to one")
        for key, known in ((photo.package, PACKAGES), (photo.licence, LICENCES)):
            if key not in known:
                raise PhotoError(f"{photo.name}: unknown {key!r}, expected one of {list(known)}")


def read_resource(rcc: Path, inner: str) -> bytes:
    """Return one file out of a Qt resource file of GCompris.

    Args:
        rcc: The ``.rcc`` file, named after its activity.
        inner: Path below the activity's resource folder.

    Raises:
        PhotoError: PySide6 is missing, or the file isn't there.
    """
    try:
        core: Any = importlib.import_module("PySide6.QtCore")
    except ImportError as error:
        raise PhotoError(
            f"reading {rcc.name} needs PySide6: {error}. Run `pip install PySide6-Essentials`"
        ) from error
    root = f"/{rcc.stem}"
    if not rcc.is_file() or not core.QResource.registerResource(str(rcc), root):
        raise PhotoError(f"{rcc} is not a Qt resource file: unpack gcompris-qt-data there")
    try:
        name = f":{root}/gcompris/src/activities/{rcc.stem}/resource/{inner}"
        file = core.QFile(name)
        if not file.open(core.QIODevice.OpenModeFlag.ReadOnly):
            raise PhotoError(f"{rcc} holds no {inner}: use the version named in PACKAGES")
        data = bytes(file.readAll().data())
        file.close()
    finally:
        core.QResource.unregisterResource(str(rcc), root)
    return data


def read_source(photo: Photo, folder: Path) -> Image.Image:
    """Return the whole source photograph: upright, in sRGB, without metadata.

    Args:
        photo: The table's entry.
        folder: Where its package is unpacked.

    Raises:
        PhotoError: The source isn't there or can't be read.
    """
    container, _, inner = photo.file.partition(":")
    path = folder / PACKAGES[photo.package].folder / container
    if inner:
        data = read_resource(path, inner)
    elif path.is_file():
        data = path.read_bytes()
    else:
        raise PhotoError(f"no {path}: unpack {PACKAGES[photo.package].credit} in {folder}")
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as opened:
            profile = opened.info.get("icc_profile")
            image = ImageOps.exif_transpose(opened)
            if profile and image.mode == "RGB":
                converted = ImageCms.profileToProfile(
                    image, io.BytesIO(profile), ImageCms.createProfile("sRGB")
                )
                image = converted if converted is not None else image
            image = image.convert("RGB")
    except (OSError, ImageCms.PyCMSError) as error:
        raise PhotoError(f"{photo.file} can't be read as a picture: {error}") from error
    image.info.clear()
    return image


def render(photo: Photo, source: Image.Image) -> Image.Image:
    """Return the crop of ``source`` that the table asks for, resized; never enlarged.

    Raises:
        PhotoError: The crop lies outside the source, is too small or too long.
    """
    left, top, right, bottom = photo.crop or (0, 0, *source.size)
    width, height = right - left, bottom - top
    if left < 0 or top < 0 or right > source.width or bottom > source.height:
        raise PhotoError(f"{photo.name}: crop {photo.crop} leaves the source's {source.size}")
    if min(width, height) < SMALLEST:
        raise PhotoError(f"{photo.name}: crop is {width}x{height}, expected {SMALLEST} or more")
    if max(width, height) > LONGEST * min(width, height):
        raise PhotoError(f"{photo.name}: crop is {width}x{height}, longer than {LONGEST}:1")
    scale = min(1.0, SHORT_SIDE / min(width, height))
    size = (round(width * scale), round(height * scale))
    return source.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))


def changes(photo: Photo) -> str:
    """Return what was done to a photograph, in the words of the table."""
    here = "cropped, resized" if photo.crop else "resized"
    return f"{photo.before} (by the package); {here} (here)" if photo.before else here


def credits_table(photos: Sequence[Photo]) -> str:
    """Return SOURCES.md: the credit of every photograph."""
    lines = [
        "# Sources of the sample photographs",
        "",
        "Written by `scripts/make_sample_photos.py`, which also makes the files: change its table,",
        "not this page. Each photograph keeps the licence of its original, given here for that",
        "very file; what is made from a CC BY-SA original (here: the crop) is under the same CC",
        "BY-SA. All were saved anew as JPEG, without metadata. None of the authors endorses this",
        "use.",
        "",
        "Authors and licences are those the packages state for each file: in the `copyright` file",
        "of the Debian packages lomiri-wallpapers, in the `README` beside the pictures in each",
        "`.rcc` file of GCompris (which is newer than the Debian `copyright` file of that package,",
        "where some of these names stand for older pictures), and in the docstrings of",
        "`skimage/data/_fetchers.py`.",
        "",
        "| File | Shows | Author | Licence | Source | Changed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for photo in sorted(photos, key=lambda entry: (entry.split, entry.name)):
        package = PACKAGES[photo.package]
        author = f"{photo.author}, {photo.year}" if photo.year else photo.author
        source = f"{package.credit} {package.version}, `{photo.file}`"
        if photo.origin:
            source += f", from [its page]({photo.origin})"
        lines.append(
            f"| {photo.split}/{photo.name}.jpg | {photo.shows} | {author} "
            f"| [{photo.licence}]({LICENCES[photo.licence]}) | {source} | {changes(photo)} |"
        )
    return "\n".join(lines) + "\n"


def make(photos: Sequence[Photo], folders: dict[str, Path], output: Path) -> int:
    """Write every photograph and SOURCES.md below ``output``; return the photographs' bytes.

    Args:
        photos: The table.
        folders: Where each package of ``PACKAGES`` is unpacked.
        output: Folder that gets ``train``, ``val`` and ``SOURCES.md``.

    Raises:
        PhotoError: The table or a source is wrong, the folder holds pictures that the table
            doesn't name, or the photographs are larger than allowed.
        OSError: A file can't be read or written.
    """
    check_table(photos)
    wanted = {output / photo.split / f"{photo.name}.jpg" for photo in photos}
    strangers = sorted(set(output.glob("*/*.jpg")) - wanted)
    if strangers:
        raise PhotoError(
            f"the table doesn't name {strangers[0]} ({len(strangers)} such): "
            "delete them or add them to the table"
        )
    encoded: dict[Path, bytes] = {}
    for photo in photos:
        picture = render(photo, read_source(photo, folders[photo.package]))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY, optimize=True, progressive=True)
        encoded[output / photo.split / f"{photo.name}.jpg"] = buffer.getvalue()
    total = sum(map(len, encoded.values()))
    if total > LARGEST_TOTAL:
        raise PhotoError(
            f"the photographs take {total} bytes, expected {LARGEST_TOTAL} at most: "
            "drop some or lower SHORT_SIDE"
        )
    for path, data in encoded.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (output / "SOURCES.md").write_text(credits_table(photos), encoding="utf-8")
    return total


def main() -> int:
    """Make the photographs; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for key, package in PACKAGES.items():
        parser.add_argument(
            f"--{key}",
            type=Path,
            required=True,
            metavar="DIR",
            help=f"{package.credit} {package.version}, unpacked",
        )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(__file__).parents[1] / "fast_style" / "assets" / "photos",
    )
    arguments = parser.parse_args()
    folders = {key: getattr(arguments, key.replace("-", "_")) for key in PACKAGES}
    try:
        total = make(PHOTOS, folders, arguments.output)
    except (OSError, PhotoError) as error:
        print(f"make_sample_photos: {error}", file=sys.stderr)
        return 2
    train = sum(photo.split == "train" for photo in PHOTOS)
    print(f"{arguments.output}: {train} in train, {len(PHOTOS) - train} in val, {total} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
